"""Write a model with a trimmed vocabulary: embedding, head, tokenizer and numbers of tokens."""

import json
import math
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PretrainedConfig, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row, read_json, write_json
from slimspeech.errors import InputError
from slimspeech.models import generation_config
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.loading import load_processor, read_config
from slimspeech.quantization.bpe import TEKKEN, Bpe, checked, read_bpe, trim_files
from slimspeech.quantization.predicted_size import TRIMMED_PARTS, predicted_bytes

# Keys of config.json and generation_config.json that hold ids of tokens.
TOKEN_KEY = re.compile(r"_token_(id|ids|index)$|^suppress_tokens$")


def saved_tokenizer(processor: ProcessorMixin) -> Bpe:
    """The tokenizer in the files that a model is written with. Raises InputError as read_bpe().

    What is in tekken.json is taken as transformers converts it.
    """
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        if Path(folder, TEKKEN).exists():
            converted = json.loads(processor.tokenizer.backend_tokenizer.to_str())
            return checked(Bpe(converted, keeps_added=True))
        return read_bpe(folder)


def named_tokens(
    directory: str | Path, processor: ProcessorMixin, prompt: Iterable[int]
) -> set[int]:
    """Ids of the tokens that a model's settings, its chat template and a prompt name."""
    tokenizer = processor.tokenizer
    settings = [vars(part) for part in _parts(read_config(directory))]
    path = Path(directory, generation_config.FILE)
    settings += [read_json(path)] if path.is_file() else []
    values = [value for part in settings for _, value in _token_ids(part)]
    ids = {n for value in values for n in (value if isinstance(value, list) else [value])}
    template = str(getattr(processor, "chat_template", None) or tokenizer.chat_template or "")
    added = tokenizer.added_tokens_decoder
    return {
        *prompt,
        *ids,
        *tokenizer.all_special_ids,
        *generation_config.end_tokens(processor),
        *(number for number, token in added.items() if token.content in template),
    }


def trim_model(
    model: str | Path, trimmed: str | Path, vocabulary: Row, memory: float = math.inf
) -> None:
    """Write the bfloat16 model with the tokens of a vocabulary alone; other weights stay.

    vocabulary: from choose_vocabulary(). memory: bytes it may take to try the result. Raises
    InputError as rewrite() does, and for a vocabulary of another tokenizer.
    """
    config, kept = read_config(model), vocabulary["kept"]
    tokens = len(load_processor(model, config).tokenizer)
    if tokens != vocabulary["tokens"]:
        raise InputError(
            f"{model}: its tokenizer has {tokens} tokens and the vocabulary was chosen from "
            f"{vocabulary['tokens']}; choose it again for this model"
        )
    _renumber_config(config, kept)
    rows, part_of = torch.tensor(kept), families.of(config).part_of

    def change(name: str, weight: Tensor) -> dict[str, Tensor]:
        return {name: weight[rows] if part_of(name) in TRIMMED_PARTS else weight}

    def finish(directory: Path) -> None:
        trim_files(directory, kept)
        _renumber_file(directory / generation_config.FILE, kept)

    needed = sum(predicted_bytes(config, "none").values())
    rewrite(model, trimmed, config, change, needed=needed, memory=memory, finish=finish)


def _renumber_config(config: PretrainedConfig, kept: Sequence[int]) -> None:
    """In place: the size of the vocabulary, and the numbers of the tokens that are named."""
    numbers = {old: new for new, old in enumerate(kept)}
    for part in _parts(config):
        for key, value in [*_token_ids(vars(part))]:
            setattr(part, key, _renumbered(value, numbers))
    config.text_config.vocab_size = len(kept)


def _renumber_file(path: Path, kept: Sequence[int]) -> None:
    numbers = {old: new for new, old in enumerate(kept)}
    settings = read_json(path)
    changes = {key: _renumbered(value, numbers) for key, value in _token_ids(settings)}
    write_json(path, settings | changes)


def _renumbered(value: int | list[int], numbers: Mapping[int, int]) -> int | list[int] | None:
    """A number that is no token's, such as of padding rows, is left out."""
    if isinstance(value, list):
        return [numbers[number] for number in value if number in numbers]
    return numbers.get(value)


def _token_ids(settings: Row) -> Iterator[tuple[str, int | list[int]]]:
    """Keys with ids of tokens, of a config without those in it."""
    for key, value in settings.items():
        single = isinstance(value, int) and not isinstance(value, bool)
        if TOKEN_KEY.search(key) and (single or isinstance(value, list)):
            yield key, value


def _parts(config: PretrainedConfig) -> list[PretrainedConfig]:
    """A config and the configs in it."""
    nested = [getattr(config, name, None) for name in config.sub_configs]
    return [config, *(part for part in nested if part is not None)]
