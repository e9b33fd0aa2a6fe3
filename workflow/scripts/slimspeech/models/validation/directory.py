"""The check that a model directory passes before a library opens anything in it.

Damaged files are refused by the libraries. This refuses what the libraries would follow: code,
pickles, links out of the directory, further models, and settings that name files or classes or ask
for absurd sizes. It reads a few small JSON files, which takes milliseconds.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

LOADER = "load_student.py"  # beside a 4-bit embedding; nothing here runs it
CACHE = "SNAKEMAKE_OUTPUT_CACHE"
ADAPTER_CONFIG = "adapter_config.json"

# Files whose reading can run what they hold, and code itself.
CAN_CARRY_CODE = (
    *(".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"),
    *(".npy", ".npz", ".h5", ".keras", ".py", ".pyc", ".so"),
)
# The files that transformers takes settings from.
SETTINGS = (
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
)
# Further models, which transformers would load with this one. An adapter is allowed beside 4 bits.
FURTHER_MODELS = ("audio_tokenizer_config.json", ADAPTER_CONFIG)
# Settings that ask for code, for another file than the usual one, or for a further model.
FORBIDDEN = (
    *("auto_map", "auto_mapping", "trust_remote_code", "custom_generate"),
    *("configuration_files", "fast_tokenizer_files", "transformers_weights", "audio_tokenizer"),
)
# Settings that cost time or memory before the weights are compared with the config.
LARGEST = {
    "num_hidden_layers": 2**10,
    "encoder_layers": 2**10,
    "feature_size": 2**10,
    "n_fft": 2**14,
    "chunk_length": 3600,
    "r": 2**14,
}
LARGEST_FILE = 2**22  # bytes of a file of settings; that of a large model's index has 10**5


def check_directory(directory: str | Path, name: str | None = None) -> None:
    """Raise InputError, naming the file, if there is no model or if it must not be opened.

    name: what messages call the directory, if not by its path. The weights are not read and may be
    absent; weights.read_weights() checks them.
    """
    path, name = Path(directory), name or str(directory)
    if not (path / "config.json").is_file():
        raise InputError(
            f"{name}: no model there (config.json is missing); "
            "give base.model as a directory made by save_pretrained"
        )
    _check_files(path, name)
    config = read_settings(path / "config.json", f"{name}/config.json")
    adapted = (path / ADAPTER_CONFIG).exists() and bool(config.get("quantization_config"))
    for file in FURTHER_MODELS:
        if (path / file).exists() and not (adapted and file == ADAPTER_CONFIG):
            raise InputError(
                f"{name}/{file}: a further model, which would be loaded with this one; move "
                "it and its files to another directory"
            )
    for file in (*SETTINGS, ADAPTER_CONFIG):
        if (path / file).exists():
            _check_settings(read_settings(path / file, f"{name}/{file}"), f"{name}/{file}")
    _check_type(config, f"{name}/config.json")


def check_adapter(directory: str | Path) -> None:
    """The same for the directory of a LoRA adapter."""
    path = Path(directory, ADAPTER_CONFIG)
    if not path.is_file():
        raise InputError(f"{path}: no adapter there; make it again")
    _check_files(path.parent, str(directory))
    _check_settings(read_settings(path, str(path)), str(path))


def read_settings(path: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file. name: what messages call it. Raises InputError for other files."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise InputError(f"{name}: {size} bytes, too many for settings; download it again")
    try:
        settings = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        reason = str(error).split("\n")[0][:200]
        raise InputError(f"{name}: not valid JSON ({reason}); download it again") from error
    if not isinstance(settings, dict):
        raise InputError(f"{name}: holds no settings; download it again")
    return settings


def _check_files(path: Path, name: str) -> None:
    """Refuse files that can carry code, links that lead out, pipes, devices and pointers of LFS."""
    inside = Path(os.path.realpath(path))
    roots = [inside]
    if inside.parent.name == "snapshots":  # of the Hub's cache, which links to its own blobs
        roots.append(inside.parent.parent / "blobs")
    if cache := os.environ.get(CACHE):  # Snakemake's own, to which a cached model links
        roots.append(Path(os.path.realpath(cache)))
    for entry in _entries(path):
        entry_name = f"{name}/{entry.relative_to(path)}"
        target = Path(os.path.realpath(entry))
        if not any(target.is_relative_to(root) for root in roots):
            raise InputError(
                f"{entry_name}: a link out of the directory; put a copy of the file there, or set "
                f"{CACHE} if it leads into that"
            )
        if entry.is_dir():
            continue
        if not entry.is_file():  # a device, a pipe, a link to nothing
            raise InputError(f"{entry_name}: not a plain file; remove it")
        if entry.suffix.casefold() in CAN_CARRY_CODE and entry.name != LOADER:
            raise InputError(
                f"{entry_name}: a file that can carry code; models here have none, remove it "
                "(weights are in *.safetensors)"
            )
        require_content(entry, entry_name)


def _entries(path: Path) -> Iterator[Path]:
    for folder in (path, path / "additional_chat_templates"):
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def _check_settings(settings: dict[str, Any], name: str) -> None:
    """Refuse, at any depth, what asks for code, other files or absurd sizes."""
    for key, value in _pairs(settings):
        if value in (None, False, {}, []):
            continue
        kernels = key.endswith("attn_implementation") and "/" in str(value)
        if key in FORBIDDEN or key.endswith("_file") or kernels:
            raise InputError(
                f"{name}: {key[:100]} asks for code, for other files or for a further model, which "
                "are never used here; remove it, or take a model that does without"
            )
        if isinstance(value, int) and value > LARGEST.get(key, value):
            raise InputError(
                f"{name}: {key} is {str(value)[:40]} and at most {LARGEST[key]} here; "
                "download the file again"
            )


def _pairs(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    waiting: list[Any] = [settings]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _check_type(config: dict[str, Any], name: str) -> None:
    """Refuse models of other classes, and weights that another package would have to unpack."""
    model_type = config.get("model_type")
    try:
        families.by_type(model_type)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    if quantization is not None and method != "bitsandbytes":
        raise InputError(
            f"{name}: quantised by {str(method)[:40]} and not by bitsandbytes; give the model "
            "that it was made from"
        )
