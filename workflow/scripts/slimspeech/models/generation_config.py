"""generation_config.json of a model directory, so that others decode as we did for the scores."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import read_json, write_json

FILE = "generation_config.json"
# Keys that do not change which tokens greedy decoding gives.
HARMLESS = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "chat_format", "use_cache"),
    *("output_attentions", "output_hidden_states", "output_scores"),
    *("return_dict_in_generate", "transformers_version"),
)
FOLLOWED = ("suppress_tokens",)  # keys that change them, and that our own decoding follows
FROM_MODEL = "_from_model_config"  # makes transformers use config.json instead


def end_tokens(processor: ProcessorMixin) -> list[int]:
    """The ends of a turn and of the text."""
    tokenizer = processor.tokenizer
    end_of_turn = families.of_processor(processor).end_of_turn
    return [tokenizer.convert_tokens_to_ids(end_of_turn), tokenizer.eos_token_id]


def stops(model: PreTrainedModel, processor: ProcessorMixin) -> tuple[list[int], list[int]]:
    """The tokens that end a translation, and those that are never chosen.

    Both by the model's generation_config.json, as transformers and serving engines decode.
    """
    settings = model.generation_config
    ends = settings.eos_token_id if settings.eos_token_id is not None else []
    ends = ends if isinstance(ends, list) else [ends]
    return list(dict.fromkeys([*end_tokens(processor), *ends])), settings.suppress_tokens or []


def write_generation_config(source: str | Path, directory: Path, processor: ProcessorMixin) -> None:
    """Make `directory` decode greedily by default, to the end of a turn or of the text.

    Publishers ask for sampling and penalties, which transformers and serving engines apply. A file
    of the source that needs no change is copied byte for byte.
    """
    path = Path(source, FILE)
    original = read_json(path) if path.is_file() else {}
    settings = {key: value for key, value in original.items() if key in HARMLESS + FOLLOWED}
    tokenizer = processor.tokenizer
    ends = settings.get("eos_token_id") or []
    ends = ends if isinstance(ends, list) else [ends]
    needed = end_tokens(processor)
    settings["eos_token_id"] = [*ends, *(token for token in needed if token not in ends)]
    if settings.get("pad_token_id") is None:
        settings["pad_token_id"] = tokenizer.pad_token_id
    if {FROM_MODEL: original.get(FROM_MODEL), **settings} == {FROM_MODEL: None, **original}:
        shutil.copy(path, directory / FILE)
    else:
        write_json(directory / FILE, settings)
