"""A trained model as serving engines take it: bfloat16, laid out as Qwen2-Audio itself is.

vLLM, llama.cpp's converter and transformers 4 read that layout, and so does transformers 5, which
by itself writes another: the feature extractor's settings in a file of their own, and the special
tokens and the rotary base under the names that they had.
"""

from pathlib import Path
from typing import Any

from slimspeech.artifacts import read_json, write_directory, write_json
from slimspeech.models.checkpoints import as_it_is, rewrite
from slimspeech.models.qwen2audio import load_processor, read_config
from slimspeech.quantization.predicted_size import predicted_bytes

EXTRACTOR = "feature_extractor"


def export(model: str | Path, target: str | Path) -> None:
    """Write a model that is not quantised, tensor by tensor, in bfloat16.

    Raises InputError as rewrite() does, for a quantised model among others.
    """
    config = read_config(model)
    needed = sum(predicted_bytes(config, "none").values())

    def write(partial: Path) -> None:
        rewrite(model, partial, config, as_it_is, needed=needed)
        _change(partial / "config.json", _with_rotary_base)
        _change(partial / "tokenizer_config.json", _with_special_tokens)
        processor = read_json(partial / "processor_config.json")
        settings = processor.pop(EXTRACTOR) | {"processor_class": processor["processor_class"]}
        write_json(partial / "preprocessor_config.json", settings)
        write_json(partial / "processor_config.json", processor)
        load_processor(partial)

    write_directory(target, write)


def _change(path: Path, change) -> None:
    write_json(path, change(read_json(path)))


def _with_rotary_base(config: dict[str, Any]) -> dict[str, Any]:
    text = config["text_config"]
    text["rope_theta"] = text["rope_parameters"]["rope_theta"]
    return config


def _with_special_tokens(tokenizer: dict[str, Any]) -> dict[str, Any]:
    tokens = tokenizer.pop("extra_special_tokens", [])
    return tokenizer | {"additional_special_tokens": list(tokens)}
