"""A family of base models: facts, and functions that have the same signature in every family.

Its facts are read without torch and transformers: the check of a model directory and the measuring
of its size need them before a job that has neither, or in a second. So modules of a family import
both within functions alone.

Shapes: B clips, R rows of features (a clip has one, or one a chunk), L positions of prompts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn
    from transformers import PretrainedConfig, PreTrainedModel, ProcessorMixin

FULL = "full_attention"


def load_processor(directory: str | Path) -> ProcessorMixin:
    from transformers import AutoProcessor

    return AutoProcessor.from_pretrained(directory, trust_remote_code=False)


def prepare(model: PreTrainedModel) -> PreTrainedModel:
    return model


def embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model.get_input_embeddings()(ids)


def rotary(decoder: nn.Module, states: Tensor, positions: Tensor, kind: str) -> tuple[Tensor, ...]:
    return decoder.rotary_emb(states, positions)


def whisper_shape(config: PretrainedConfig) -> tuple[int, int, int]:
    audio = config.audio_config
    return audio.d_model, audio.encoder_ffn_dim, audio.encoder_layers


def may_be_last(text: PretrainedConfig) -> list[int] | None:
    return None


def keep_in_config(text: PretrainedConfig, kept: Sequence[int]) -> None:
    if getattr(text, "layer_types", None):  # with their number, because reloading compares them
        text.layer_types = [text.layer_types[i] for i in kept]
    text.num_hidden_layers = len(kept)


def as_published(settings: dict[str, Any]) -> dict[str, Any]:
    return settings


def finish_export(directory: Path, extractor: dict[str, Any]) -> None:
    return None


@dataclass(frozen=True)
class Family:
    """Facts and functions. A default is what most families share.

    model_type: in config.json; title: for people.
    model_class, processor_class: of transformers, which has both at its top.
    stored: beginning of a module's name to that of its tensors in the files; the first that fits.
    parts: beginning of a stored name to the part of the model; the first that fits.
    layers, embedding: stored names, of the decoder's layers up to their number and of the weight.
    modules: by part, the module that transformers can be told not to quantise.
    audio_marks: tokens around the audio in a prompt: before, placeholder, after.
    end_of_turn: the token that ends a translation.
    tokens_per_second, states_per_second: of the decoder, and of the audio encoder inside.
    hub_licences: by repository of the Hub, the licence of models that are known.
    citation: in BibTeX, of these models; or none.
    full_size: of config.json of the first of them, what decides how many weights it has.
    window_seconds: the longest clip, if the processor does not say so itself.
    padded_to: seconds of which a clip's features are padded to a multiple.
    masks_padding: whether the audio encoder masks what lies behind a clip, so that its window can
        be made longer.
    takes_system: whether a prompt can have a system message.
    tokens_per_row: audio tokens of a row of features, if a clip can have several rows.
    layer_arguments: what a decoder layer takes besides states, mask, cache and rotary angles.
    gguf_splitting: what llama.cpp's converter calls the splitting of text into words before the
        tokenizer; None: the converter was not tried.
    unused_parts: parts that speech does not use: they get no adapter and can be left out, by the
        key of config.json that is then null.

    load_processor(directory): from its files.
    token_counts(processor, samples): audio tokens of clips of so many samples.
    features(processor, audio): of 16 kHz mono clips, one dict a clip, by the names of the model's
        forward(), each (rows, ...). A clip's features do not depend on the other clips.
    join(clips): the dicts of some clips as one, (R, ...), without padding that all share.
    encode(model, features, tokens): embeddings of clips with so many audio tokens, each (tokens,
        hidden size).
    prompt_ids(processor, system, request, audio_tokens): the chat prompt up to the translation;
        None: by the chat template of the model. Raises InputError for what cannot be said.
    card_code(system, request): Python of a model card, of transformers alone: what loads
        `tokenizer` and `extractor` from `directory`, and what makes `inputs` of `audio` and `rate`;
        None: by the model's processor and its chat template.
    prepare(model): in place, what the functions here need of it.
    embed(model, ids): (…, hidden size), as the model embeds its own tokens.
    rotary(decoder, states, positions, kind): cosines and sines for layers of a kind.
    audio_shape(config): of the audio encoder: width, width inside its MLP, layers.
    may_be_last(text_config): the decoder layers of which one has to be the last; None: any.
    keep_in_config(text_config, kept): in place, all that changes with the decoder's layers.
    as_published(settings): config.json as transformers writes it, in the publisher's layout.
    finish_export(directory, extractor): in place, what serving engines read in another layout.
        extractor: the settings of the feature extractor.
    """

    model_type: str
    title: str
    model_class: str
    processor_class: str
    stored: Mapping[str, str]
    parts: Mapping[str, str]
    layers: str
    embedding: str
    modules: Mapping[str, str]
    audio_marks: tuple[str, str, str]
    end_of_turn: str
    tokens_per_second: float
    states_per_second: float
    hub_licences: Mapping[str, str]
    citation: str | None
    full_size: Mapping[str, Any]

    token_counts: Callable[[ProcessorMixin, Sequence[int]], list[int]]
    features: Callable[[ProcessorMixin, Sequence[np.ndarray]], list[dict[str, Tensor]]]
    join: Callable[[Sequence[dict[str, Tensor]]], dict[str, Tensor]]
    encode: Callable[[PreTrainedModel, dict[str, Tensor], Sequence[int]], list[Tensor]]

    window_seconds: float | None = None
    padded_to: float | None = None
    tokens_per_row: int | None = None
    takes_system: bool = True
    masks_padding: bool = False
    layer_arguments: Mapping[str, Any] = field(default_factory=dict)
    gguf_splitting: str | None = None
    unused_parts: Mapping[str, str] = field(default_factory=dict)

    prompt_ids: Callable[[ProcessorMixin, str | None, str, int], list[int]] | None = None
    card_code: Callable[[str | None, str], tuple[str, str]] | None = None
    load_processor: Callable[[str | Path], ProcessorMixin] = load_processor
    prepare: Callable[[PreTrainedModel], PreTrainedModel] = prepare
    embed: Callable[[PreTrainedModel, Tensor], Tensor] = embed
    rotary: Callable[[nn.Module, Tensor, Tensor, str], tuple[Tensor, ...]] = rotary
    audio_shape: Callable[[PretrainedConfig], tuple[int, int, int]] = whisper_shape
    may_be_last: Callable[[PretrainedConfig], list[int] | None] = may_be_last
    keep_in_config: Callable[[PretrainedConfig, Sequence[int]], None] = keep_in_config
    as_published: Callable[[dict[str, Any]], dict[str, Any]] = as_published
    finish_export: Callable[[Path, dict[str, Any]], None] = finish_export

    def stored_name(self, name: str) -> str:
        """The name in the files for a parameter such as model.audio_tower.conv1.weight."""
        for module, stored in self.stored.items():
            if name.startswith(module):
                return stored + name.removeprefix(module)
        return name

    def part_of(self, name: str) -> str:
        """The part of the model that a stored tensor belongs to."""
        for beginning, part in self.parts.items():
            if name.startswith(beginning):
                return part
        return "other"

    def layer_of(self, name: str) -> int | None:
        """The number of the decoder layer that a stored tensor belongs to."""
        if not name.startswith(self.layers):
            return None
        return int(name.removeprefix(self.layers).split(".", 1)[0])

    def padded_seconds(self, seconds: float) -> float:
        """Seconds that the model processes for a clip: the clip and its padding."""
        if self.padded_to is None:
            return seconds
        return math.ceil(seconds / self.padded_to) * self.padded_to

    def rows(self, tokens: int) -> int:
        """Rows of features of a clip with so many audio tokens."""
        return tokens // self.tokens_per_row if self.tokens_per_row else 1
