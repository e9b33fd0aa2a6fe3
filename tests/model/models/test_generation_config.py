"""Whoever loads a student decodes it as it was scored."""

import json
from pathlib import Path

import pytest
from transformers import GenerationConfig

from slimspeech.models.generation_config import write_generation_config

# As in Qwen/Qwen2-Audio-7B-Instruct.
OF_THE_7B = {
    "chat_format": "chatml",
    "eos_token_id": [151643, 151645],
    "pad_token_id": 151643,
    "do_sample": True,
    "top_k": 20,
    "top_p": 0.5,
    "temperature": 0.7,
    "repetition_penalty": 1.1,
    "transformers_version": "4.38.1",
}


def written(source: Path, processor) -> tuple[bytes, GenerationConfig]:
    target = source / "packed"
    target.mkdir()
    write_generation_config(source, target, processor)
    return (target / "generation_config.json").read_bytes(), GenerationConfig.from_pretrained(
        target
    )


@pytest.fixture
def ends(processor) -> set[int]:
    return {
        processor.tokenizer.convert_tokens_to_ids(text) for text in ("<|im_end|>", "<|endoftext|>")
    }


def test_sampling_and_penalties_go(processor, ends, tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps(OF_THE_7B))
    _, config = written(tmp_path, processor)
    assert not config.do_sample
    assert config.repetition_penalty in (None, 1.0)
    assert (config.temperature, config.top_p) in ((None, None), (1.0, 1.0))
    assert ends | {151643, 151645} == set(config.eos_token_id)
    assert config.pad_token_id == 151643


@pytest.mark.parametrize("eos", ["absent", "one"])
def test_both_ends_are_named(processor, ends, eos, tmp_path):
    one = {"eos_token_id": processor.tokenizer.eos_token_id, "_from_model_config": True}
    if eos == "one":
        (tmp_path / "generation_config.json").write_text(json.dumps(one))
    text, config = written(tmp_path, processor)
    assert set(config.eos_token_id) == ends
    assert config.pad_token_id == processor.tokenizer.pad_token_id
    assert b"_from_model_config" not in text  # or transformers would not go by the file


def test_what_is_right_is_left_alone(trained, processor, tmp_path):
    original = (Path(trained[0]) / "generation_config.json").read_bytes()
    (tmp_path / "generation_config.json").write_bytes(original)
    assert written(tmp_path, processor)[0] == original
