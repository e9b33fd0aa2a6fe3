"""generation_config.json of a model directory, so that others decode as we did for the scores."""

import shutil
from pathlib import Path

from transformers import ProcessorMixin

from slimspeech.artifacts import read_json, write_json
from slimspeech.models.prompts import END_OF_TURN

FILE = "generation_config.json"
# Keys that do not change which tokens greedy decoding gives.
HARMLESS = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "chat_format", "use_cache"),
    *("output_attentions", "output_hidden_states", "output_scores"),
    *("return_dict_in_generate", "transformers_version"),
)
FROM_MODEL = "_from_model_config"  # makes transformers use config.json instead


def write_generation_config(source: str | Path, directory: Path, processor: ProcessorMixin) -> None:
    """Make `directory` decode greedily by default, to the end of a turn or of the text.

    Qwen2-Audio-7B-Instruct asks for sampling and a repetition penalty, which transformers and
    serving engines apply. A file of the source that needs no change is copied byte for byte.
    """
    path = Path(source, FILE)
    original = read_json(path) if path.is_file() else {}
    settings = {key: value for key, value in original.items() if key in HARMLESS}
    tokenizer = processor.tokenizer
    ends = settings.get("eos_token_id") or []
    ends = ends if isinstance(ends, list) else [ends]
    needed = [tokenizer.convert_tokens_to_ids(END_OF_TURN), tokenizer.eos_token_id]
    settings["eos_token_id"] = [*ends, *(token for token in needed if token not in ends)]
    if settings.get("pad_token_id") is None:
        settings["pad_token_id"] = tokenizer.pad_token_id
    if {FROM_MODEL: original.get(FROM_MODEL), **settings} == {FROM_MODEL: None, **original}:
        shutil.copy(path, directory / FILE)
    else:
        write_json(directory / FILE, settings)
