"""Tokenizer and feature extractor, for families whose own processor asks for more than speech."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slimspeech.artifacts import read_json
from slimspeech.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, SequenceFeatureExtractor

    from slimspeech.families.family import Family

# What a publisher lays beside the weights for tokenizer, features and prompts.
FILES = (
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "tekken.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json"),
    *("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json"),
)


@dataclass(frozen=True)
class SpeechProcessor:
    """What a processor of transformers is to this library. directory: where its files are."""

    family: Family
    tokenizer: PreTrainedTokenizerBase
    feature_extractor: SequenceFeatureExtractor
    directory: Path

    def save_pretrained(self, directory: str | Path) -> None:
        """The publisher's files, byte for byte: what saves them again can change their form."""
        for name in FILES:
            if (self.directory / name).is_file():
                shutil.copy(self.directory / name, Path(directory, name))


def require_features_of(directory: str | Path, family: Family, extractor: str) -> None:
    """Raises InputError if the directory's feature extractor is not one of that class."""
    settings: dict[str, Any] = {}
    for name in ("preprocessor_config.json", "processor_config.json"):
        if Path(directory, name).is_file():
            settings = read_json(Path(directory, name)) | settings
    nested = settings.get("feature_extractor")
    settings = nested if isinstance(nested, dict) else settings
    if settings.get("feature_extractor_type") != extractor:
        raise InputError(
            f"{directory}: its feature extractor is {settings.get('feature_extractor_type')} and "
            f"not {family.title}'s ({extractor}); copy the processor's files from the model that "
            "these weights come from"
        )
