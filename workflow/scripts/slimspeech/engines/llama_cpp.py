"""Run llama.cpp's server on requests, in this process and an environment of its own."""

import importlib.metadata
from collections.abc import Iterator, Sequence
from pathlib import Path

from slimspeech.artifacts import Row
from slimspeech.engines.gguf import ENCODER, model_file

PACKAGE = "xllamacpp"  # the server as a library
CONTEXT = 4096  # tokens of prompt and translation, those of 30 s of audio included


def answer(
    directory: str | Path, form: str, requests: Sequence[Row], threads: int
) -> Iterator[Row]:
    """The answers to a batch, in its order and in the form of a batch.

    directory: from convert(). form: one of its forms.
    """
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(Path(directory) / model_file(form))
    settings.mmproj.path = str(Path(directory) / ENCODER)
    settings.n_ctx = CONTEXT
    settings.n_parallel = 1
    settings.use_jinja = True  # the model's own chat template
    settings.cpuparams.n_threads = threads
    server = xllamacpp.Server(settings)
    for request in requests:
        body = server.handle_chat_completions(request["body"])
        status = 400 if "error" in body else 200
        yield {
            "custom_id": request["custom_id"],
            "response": {"status_code": status, "body": body},
            "error": None,
        }


def describe() -> Row:
    """What runs: engine, version, device and dtype."""
    version = importlib.metadata.version(PACKAGE)
    return {"engine": "llama.cpp", "version": version, "device": "CPU", "dtype": "its own"}
