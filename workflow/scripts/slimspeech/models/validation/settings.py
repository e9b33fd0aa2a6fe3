"""What the JSON files of a model may say, before a library builds anything by them."""

import json
import math
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError

LARGEST = 2**22  # bytes
# Settings that ask for code, for another file than the usual, or for a further model.
REFUSED = frozenset(
    {
        "auto_map",
        "auto_mapping",
        "trust_remote_code",
        "custom_pipelines",
        "custom_generate",
        "configuration_files",
        "fast_tokenizer_files",
        "transformers_weights",
        "audio_tokenizer",
    }
)
# The least and the most of what a model is built by. Those of the 7B are far inside.
LIMITS = {
    "num_hidden_layers": (1, 1024),
    "encoder_layers": (1, 1024),
    "max_window_layers": (0, 2**20),
    "hidden_size": (1, 2**17),
    "d_model": (1, 2**17),
    "head_dim": (1, 2**17),
    "intermediate_size": (1, 2**20),
    "encoder_ffn_dim": (1, 2**20),
    "num_attention_heads": (1, 2**12),
    "num_key_value_heads": (1, 2**12),
    "encoder_attention_heads": (1, 2**12),
    "vocab_size": (1, 2**24),
    "max_position_embeddings": (1, 2**24),
    "max_source_positions": (1, 2**17),
    "num_mel_bins": (1, 2**10),
    "feature_size": (1, 2**10),
    "sampling_rate": (1, 192_000),
    "hop_length": (1, 2**14),
    "chunk_length": (1, 3600),
    "n_fft": (2, 2**14),
    "n_samples": (1, 2**28),
    "nb_max_frames": (1, 2**20),
    "max_new_tokens": (1, 2**24),
    "num_beams": (1, 64),
    "num_return_sequences": (1, 64),
    "r": (1, 2**14),
}
TYPES = {
    "config.json": "qwen2_audio",
    "text_config": "qwen2",
    "audio_config": "qwen2_audio_encoder",
}
# What a LoRA adapter's settings may say; the rest has to be off, or as peft has it by default.
ADAPTER_SETTINGS = frozenset(
    {
        *("base_model_name_or_path", "bias", "inference_mode", "lora_alpha"),
        *("lora_bias", "lora_dropout", "peft_type", "peft_version", "r", "revision"),
        *("target_modules", "task_type", "use_dora", "use_rslora"),
    }
)
ADAPTER_DEFAULTS = {
    "init_lora_weights": True,
    "megatron_core": "megatron.core",
    "qalora_group_size": 16,
}


def read_settings(path: Path, place: str) -> Any:
    """A JSON object that says each thing once, in numbers that are numbers.

    place: what messages call the file. Raises InputError for any other file.
    """
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"{place}: {path.stat().st_size} bytes, far more than settings have; download it again"
        )
    try:
        found = json.loads(
            path.read_bytes(),
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_number,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"{place}: not valid JSON ({reason}); download it again") from error
    if not isinstance(found, dict):
        raise InputError(f"{place}: holds no settings; download it again")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _refuse_number(text[:40])


def check_values(settings: Any, place: str, where: str = "") -> None:
    """Refuse, at any depth, what asks for code, other files or absurd sizes."""
    if isinstance(settings, list):
        for item in settings:
            check_values(item, place, where)
    if not isinstance(settings, dict):
        return
    for key, value in settings.items():
        there = f"{where}.{key}".removeprefix(".")[:100]
        if key in REFUSED and value not in (None, False, {}, []):
            raise InputError(
                f"{place}: {there} asks for code or files of the model's own choice, which are "
                "never used here; remove it, or take a model that does without"
            )
        if key.endswith("_file") and value is not None:
            raise InputError(f"{place}: {there} names a file to be read; remove it")
        if key.endswith("attn_implementation") and "/" in str(value):
            raise InputError(f"{place}: {there} asks for code from the Hub; remove it")
        if key in LIMITS and value is not None:
            low, high = LIMITS[key]
            if type(value) is not int or not low <= value <= high:
                raise InputError(
                    f"{place}: {there} is {repr(value)[:40]} and not a number from {low} to "
                    f"{high}; download the file again"
                )
        check_values(value, place, there)


def check_types(config: dict[str, Any], place: str) -> None:
    """Refuse models of other classes, and weights in a form that other packages would unpack."""
    for part, wanted in TYPES.items():
        settings = config if part == "config.json" else config.get(part)
        found = settings.get("model_type") if isinstance(settings, dict) else None
        if found != wanted:
            what = "it" if part == "config.json" else part
            raise InputError(
                f"{place}: {what} is of the type {str(found)[:40]} and not {wanted}; give a "
                "Qwen2-Audio model"
            )
    form = config.get("quantization_config")
    method = form.get("quant_method") if isinstance(form, dict) else form
    if form is not None and method != "bitsandbytes":
        raise InputError(
            f"{place}: quantised by {str(method)[:40]} and not by bitsandbytes; give the model "
            "that it was made from"
        )


def check_adapter_settings(settings: dict[str, Any], place: str) -> None:
    """Refuse adapters that are more than plain LoRA on modules that are named."""
    if settings.get("peft_type") != "LORA":
        raise InputError(f"{place}: peft_type is not LORA; train a LoRA adapter")
    modules = settings.get("target_modules")
    if not isinstance(modules, list) or not all(isinstance(module, str) for module in modules):
        raise InputError(
            f"{place}: target_modules is no list of names, and as a pattern it could run for ever; "
            "list the modules"
        )
    for key, value in settings.items():
        usual = value in (None, False, {}, []) or value == ADAPTER_DEFAULTS.get(key)
        if key not in ADAPTER_SETTINGS and not usual:
            raise InputError(f"{place}: {key} is no setting of plain LoRA; train plain LoRA")
