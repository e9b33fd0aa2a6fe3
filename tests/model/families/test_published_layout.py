"""The mini base, a Qwen2-Audio: what depends on no arithmetic is what it was before the library
knew other families. Numbers are compared with transformers' in the other tests."""

import hashlib
import json
from pathlib import Path

import pytest
from project import REPOSITORY
from safetensors import safe_open

from slimspeech.models.loading import load_processor
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.pack import pack

MINI = REPOSITORY / "resources" / "mini" / "base"
PROMPT = Prompt(
    "You are a professional translator.", "Translate the {source} speech into {target}:", {}
)


def digest(value) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def layout(directory: Path) -> list:
    """Names, dtypes and shapes of the tensors, in the order of the file."""
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        return [[name, s.get_dtype(), list(s.get_shape())] for name, s in slices.items()]


@pytest.mark.parametrize(
    "quantization, expected",
    [
        ("none", "bd05b8c960bfb1e7"),
        ("nf4", "d4b0d542d0f6ca57"),
        ({"embedding": "nf4", "head": "nf4"}, "05eec7eb9d730402"),
    ],
)
def test_packed_file(quantization, expected, tmp_path):
    pack(MINI, tmp_path / "packed", quantization, memory=0)
    tensors = [row for row in layout(tmp_path / "packed") if "quant_state" not in row[0]]
    assert digest(tensors) == expected


@pytest.mark.parametrize(
    "pair, expected", [("en-de", "d040c77a4bbf824c"), ("en-zh", "e617699c9bffca03")]
)
def test_tokens_of_prompts(pair, expected):
    assert digest(PROMPT.ids(load_processor(MINI), pair, 25)) == expected
