"""The gate that every model directory passes before a library opens anything of it.

Weights are safetensors, and no code comes from data: what could carry code, lead out of the
directory, load a further model or ask for more memory than the weights is refused. Nothing but
small JSON files and the headers of the weights is read, so the gate costs milliseconds.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from slimspeech.errors import InputError
from slimspeech.models.validation.safetensors import Stored, read_header
from slimspeech.models.validation.settings import (
    check_adapter_settings,
    check_types,
    check_values,
    read_settings,
)

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


def check_directory(directory: str | Path, name: str | None = None) -> dict[str, Stored]:
    """The weights of a model directory by name, if it may be opened.

    name: what messages call the directory, if not by its path. Raises InputError, naming the file,
    if there is no model or if it has to be refused.
    """
    path, name = Path(directory), name or str(directory)
    if (path / "config.json").is_file() and not any(path.glob("*.safetensors")):
        raise InputError(
            f"{name}: no *.safetensors there; other weight formats can carry code and are "
            "not read, convert the model with save_pretrained"
        )
    check_settings(path, name)
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
            settings = read_settings(path / file, f"{name}/{file}")
            check_values(settings, f"{name}/{file}")
            if file == "config.json":
                check_types(settings, f"{name}/{file}")


def check_adapter(directory: str | Path) -> None:
    """Raise InputError unless a LoRA adapter's directory may be opened."""
    path, name = Path(directory), str(directory)
    for file in (ADAPTER_CONFIG, ADAPTER_WEIGHTS):
        if not (path / file).is_file():
            raise InputError(f"{name}/{file}: no adapter there; make it again")
    _check_files(path, name)
    place = f"{name}/{ADAPTER_CONFIG}"
    settings = read_settings(path / ADAPTER_CONFIG, place)
    check_values(settings, place)
    check_adapter_settings(settings, place)
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
    listed = read_settings(path / INDEX, place).get("weight_map")
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
