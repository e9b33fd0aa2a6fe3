"""What differs between families of base models, one file a family; nothing else names a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.families.gemma4_unified import FAMILY as GEMMA4_UNIFIED
from slimspeech.families.qwen2_audio import FAMILY as QWEN2_AUDIO
from slimspeech.families.speech_processor import SpeechProcessor
from slimspeech.families.voxtral import FAMILY as VOXTRAL

if TYPE_CHECKING:  # transformers is slow to import
    from transformers import PretrainedConfig, ProcessorMixin

FAMILIES = {family.model_type: family for family in (QWEN2_AUDIO, GEMMA4_UNIFIED, VOXTRAL)}


def by_type(model_type: str) -> Family:
    """The family of a `model_type` of config.json. Raises InputError for one that is not known."""
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        known = " or ".join(f"{family.title} ({name})" for name, family in FAMILIES.items())
        raise InputError(f"the type {str(model_type)[:40]} is not known; give a model of {known}")
    return FAMILIES[model_type]


def of(config: PretrainedConfig) -> Family:
    """The family of a model, by its config."""
    return by_type(config.model_type)


def of_processor(processor: ProcessorMixin) -> Family:
    """The family that a processor belongs to. Raises InputError if it is none's."""
    if isinstance(processor, SpeechProcessor):
        return processor.family
    name = type(processor).__name__
    for family in FAMILIES.values():
        if name == family.processor_class:
            return family
    raise InputError(f"a {name} belongs to no model that is known; copy the model's own processor")
