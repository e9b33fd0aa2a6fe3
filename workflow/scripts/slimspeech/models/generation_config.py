"""generation_config.json of a model directory: others decode as the scores were made."""

import shutil
from pathlib import Path

from transformers import ProcessorMixin

from slimspeech.artifacts import read_json, write_json
from slimspeech.models.prompts import END_OF_TURN

FILE = "generation_config.json"
# What the file may say that has no part in which tokens greedy decoding finds.
HARMLESS = frozenset(
    {
        "bos_token_id",
        "chat_format",
        "eos_token_id",
        "output_attentions",
        "output_hidden_states",
        "output_scores",
        "pad_token_id",
        "return_dict_in_generate",
        "transformers_version",
        "use_cache",
    }
)
FROM_MODEL = "_from_model_config"  # tells transformers to go by config.json instead


def write_generation_config(source: str | Path, directory: Path, processor: ProcessorMixin) -> None:
    """Have whoever loads `directory` decode greedily, to the end of a turn or of the text.

    That of Qwen2-Audio-7B-Instruct asks for sampling and a repetition penalty, and both
    transformers and serving engines go by it. A source that needs no change is copied byte for
    byte; without one, a file is written.
    """
    path = Path(source, FILE)
    found = read_json(path) if path.is_file() else {}
    settings = {key: value for key, value in found.items() if key in HARMLESS}
    tokenizer = processor.tokenizer
    ends = settings.get("eos_token_id") or []
    ends = ends if isinstance(ends, list) else [ends]
    needed = [tokenizer.convert_tokens_to_ids(END_OF_TURN), tokenizer.eos_token_id]
    settings["eos_token_id"] = [*ends, *(token for token in needed if token not in ends)]
    if settings.get("pad_token_id") is None:
        settings["pad_token_id"] = tokenizer.pad_token_id
    if {FROM_MODEL: found.get(FROM_MODEL), **settings} == {FROM_MODEL: None, **found}:
        shutil.copy(path, directory / FILE)
    else:
        write_json(directory / FILE, settings)
