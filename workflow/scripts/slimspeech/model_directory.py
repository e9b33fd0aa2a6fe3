"""The gate that every model directory passes before a library opens anything of it.

Weights are safetensors, and no code comes from data: what could carry code, lead out of the
directory, load a further model or ask for more memory than the weights is refused. Nothing but
small JSON files and the headers of the weights is read, so the gate costs milliseconds.
"""

import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slimspeech.errors import InputError
from slimspeech.safetensors_header import Stored, read_header

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
LOADER = "load_student.py"  # beside a 4-bit embedding; nothing here runs it
CACHE = "SNAKEMAKE_OUTPUT_CACHE"
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# Formats whose reading can run what they hold, and code itself.
PICKLES = (
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"),
    *(".npy", ".npz", ".h5", ".keras"),
)
CODE = (".py", ".pyc", ".so")
LARGEST = {".json": 2**26, ".txt": 2**26, ".jinja": 2**20, ".model": 2**26}  # bytes
LARGEST_SETTINGS = 2**22  # bytes

# The files that transformers takes settings from.
SETTINGS = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
)
# What is a further model's, which would be loaded unasked.
FURTHER = ("audio_tokenizer_config.json", ADAPTER_CONFIG)
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


def check_directory(directory: str | Path, name: str | None = None) -> dict[str, Stored]:
    """The weights of a model directory by name, if it may be opened.

    name: what messages call the directory, if not by its path. Raises InputError, naming the file,
    if there is no model or if it has to be refused.
    """
    path, name = Path(directory), name or str(directory)
    check_settings(path, name)
    if not any(path.glob("*.safetensors")):
        raise InputError(
            f"{name}: no *.safetensors there; other weight formats can carry code and are "
            "not read, convert the model with save_pretrained"
        )
    return _read_weights(path, name)


def check_settings(directory: str | Path, name: str | None = None) -> None:
    """The same of all but the weights, which need not be there."""
    path, name = Path(directory), name or str(directory)
    if not (path / "config.json").is_file():
        raise InputError(
            f"{name}: no model there (config.json is missing); "
            "give base.model as a directory made by save_pretrained"
        )
    _check_files(path, name)
    for file in FURTHER:
        if (path / file).exists():
            raise InputError(
                f"{name}/{file}: a further model that would be loaded with this one unasked; move "
                "it and what belongs to it to another directory"
            )
    for file in SETTINGS:
        if (path / file).exists():
            settings = _read_settings(path / file, f"{name}/{file}")
            _check_settings(settings, f"{name}/{file}")
            if file == "config.json":
                _check_types(settings, f"{name}/{file}")


def check_adapter(directory: str | Path) -> None:
    """Raise InputError unless a LoRA adapter's directory may be opened."""
    path, name = Path(directory), str(directory)
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (path / file).is_file():
            raise InputError(f"{name}/{file}: no adapter there; make it again")
    _check_files(path, name)
    place = f"{name}/{ADAPTER_CONFIG}"
    settings = _read_settings(path / ADAPTER_CONFIG, place)
    _check_settings(settings, place)
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
    read_header(path / ADAPTER_WEIGHTS)


def _check_files(path: Path, name: str) -> None:
    """Refuse what can carry code, leads elsewhere, is no plain file, or is far too large."""
    inside = Path(os.path.realpath(path))
    roots = [inside]
    if inside.parent.name == "snapshots":  # of the Hub's cache, which links to its own blobs
        roots.append(inside.parent.parent / "blobs")
    if cache := os.environ.get(CACHE):  # Snakemake's own, of which a fetched model is links
        roots.append(Path(os.path.realpath(cache)))
    for entry in _entries(path):
        place = f"{name}/{entry.relative_to(path)}"
        target = Path(os.path.realpath(entry))
        if not any(target.is_relative_to(root) for root in roots):
            raise InputError(
                f"{place}: a link out of the directory; put a copy of the file there, or set "
                f"{CACHE} if it leads into that"
            )
        try:
            status = os.stat(entry)
        except OSError as error:
            raise InputError(f"{place}: cannot be read ({error.strerror}); remove it") from error
        suffix = entry.suffix.casefold()
        if stat.S_ISDIR(status.st_mode) and suffix not in (*LARGEST, ".safetensors"):
            continue
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{place}: not a plain file; remove it")
        if suffix in PICKLES:
            raise InputError(
                f"{place}: a format that can carry code; it is never read, remove it (weights are "
                "in *.safetensors)"
            )
        if suffix in CODE and entry.name != LOADER:
            raise InputError(f"{place}: code; models bring none here, remove it")
        if status.st_size > LARGEST.get(suffix, status.st_size):
            raise InputError(
                f"{place}: {status.st_size} bytes, far more than such a file has; download it again"
            )


def _entries(path: Path) -> Iterator[Path]:
    for folder in (path, path / "additional_chat_templates"):
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def _read_settings(path: Path, place: str) -> Any:
    """Of a JSON object that says each thing once, in numbers that are numbers."""
    if path.stat().st_size > LARGEST_SETTINGS:
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


def _check_settings(settings: Any, place: str, where: str = "") -> None:
    """Refuse, at any depth, what asks for code, other files or absurd sizes."""
    if isinstance(settings, list):
        for item in settings:
            _check_settings(item, place, where)
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
                    f"{place}: {there} is {str(value)[:40]} and not a number from {low} to {high}; "
                    "download the file again"
                )
        _check_settings(value, place, there)


def _check_types(config: dict[str, Any], place: str) -> None:
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


def _read_weights(path: Path, name: str) -> dict[str, Stored]:
    """The tensors of all files, each in one file, and in that which the index names."""
    found: dict[str, Stored] = {}
    for file in sorted(path.glob("*.safetensors")):
        tensors = read_header(file, f"{name}/{file.name}")
        if repeated := sorted(found.keys() & tensors.keys()):
            raise InputError(
                f"{name}/{file.name}: {repeated[0][:100]} is in another file of the "
                "directory too; remove what is left of an earlier model"
            )
        found |= tensors
    if (path / INDEX).exists():
        _check_index(path, name, found)
    return found


def _check_index(path: Path, name: str, tensors: dict[str, Stored]) -> None:
    place = f"{name}/{INDEX}"
    if (path / SINGLE).exists():
        raise InputError(f"{place}: {SINGLE} is there too, and only one is read; remove the other")
    listed = _read_settings(path / INDEX, place).get("weight_map")
    if not isinstance(listed, dict):
        raise InputError(f"{place}: has no weight_map; download it again")
    for tensor, file in listed.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise InputError(
                f"{place}: {str(file)[:100]!r} is no file of this directory; download it again"
            )
        if not (path / file).is_file():
            problem = "missing, though the index names it; download it again"
            raise InputError(f"{name}/{file}: {problem}")
        if tensor not in tensors or tensors[tensor].path.name != file:
            raise InputError(f"{place}: {tensor[:100]} is not in {file}; download the model again")
