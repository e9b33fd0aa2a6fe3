"""Exported models: compared to what serving engines expect, and loaded without this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from project import REPOSITORY
from safetensors import safe_open
from transformers import AutoProcessor, GenerationConfig, Qwen2AudioForConditionalGeneration
from transformers.models.whisper.modeling_whisper import sinusoids

from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_model, load_processor, read_config
from slimspeech.models.shapes import shapes
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech.quantization.pack import pack
from slimspeech.release.export import export, padded_extractor, padded_positions

ROOT = REPOSITORY
KEPT = [0, 1, 3]
LOADS = """
import sys
import numpy
import torch
import transformers
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

directory, clip, prompt = sys.argv[1:]
processor = AutoProcessor.from_pretrained(directory)
model = Qwen2AudioForConditionalGeneration.from_pretrained(directory, dtype="auto")
assert model.dtype == torch.bfloat16
audio, rate = numpy.load(clip), 16_000
inputs = processor(text=prompt, audio=[audio], sampling_rate=rate, return_tensors="pt")
tokens = model.generate(**inputs, max_new_tokens=40)[:, inputs["input_ids"].shape[1] :]
text = processor.batch_decode(tokens, skip_special_tokens=True)[0]
print(transformers.__version__.split(".")[0] + "|" + text)
"""


@pytest.fixture(scope="module")
def pruned(trained, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pruned") / "model"
    prune_checkpoint(trained[0], folder, KEPT)
    return folder


@pytest.fixture(scope="module")
def exported(pruned) -> Path:
    export(pruned, pruned.parent / "bf16")
    return pruned.parent / "bf16"


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_the_config_says_what_is_there(exported):
    config = read(exported / "config.json")
    assert config["architectures"] == ["Qwen2AudioForConditionalGeneration"]
    assert config["model_type"] == "qwen2_audio"
    assert "quantization_config" not in config
    text = config["text_config"]
    assert text["num_hidden_layers"] == len(text["layer_types"]) == len(KEPT)
    assert set(text["layer_types"]) == {"full_attention"}
    assert text["rope_theta"] == text["rope_parameters"]["rope_theta"]
    assert config["audio_token_index"] == AutoProcessor.from_pretrained(exported).audio_token_id


def test_tensors_have_the_names_and_shapes_that_engines_expect(exported):
    """vLLM's Qwen2-Audio has these three modules, of which the last is a Qwen2ForCausalLM."""
    tensors = {}
    for path in exported.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
    modules = ("audio_tower.", "multi_modal_projector.", "language_model.model.")
    assert {n for n in tensors if not n.startswith(modules)} == {"language_model.lm_head.weight"}
    layers = {n.split(".")[3] for n in tensors if n.startswith("language_model.model.layers.")}
    assert layers == {"0", "1", "2"}
    assert {part.get_dtype() for part in tensors.values()} == {"BF16"}
    expected = {name: list(shape) for name, shape in shapes(read_config(exported)).items()}
    assert {name: part.get_shape() for name, part in tensors.items()} == expected


def test_the_processor_is_in_the_files_of_the_original(exported, processor):
    """As in Qwen/Qwen2-Audio-7B-Instruct, which transformers 4 wrote."""
    extractor = read(exported / "preprocessor_config.json")
    assert extractor["feature_extractor_type"] == "WhisperFeatureExtractor"
    assert extractor["n_samples"] == 480_000
    tokenizer = read(exported / "tokenizer_config.json")
    assert "<|AUDIO|>" in tokenizer["additional_special_tokens"]
    again = load_processor(exported)
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert again.chat_template == processor.chat_template
    window = {"chunk_length": 30, "n_samples": 480_000, "nb_max_frames": 3000}
    assert again.feature_extractor.to_dict() == processor.feature_extractor.to_dict() | window
    ends = GenerationConfig.from_pretrained(exported).eos_token_id
    assert processor.tokenizer.convert_tokens_to_ids("<|im_end|>") in ends


def test_the_weights_are_those_of_the_student(pruned, exported):
    plain = Qwen2AudioForConditionalGeneration.from_pretrained(exported, dtype="auto")
    ours = load_model(pruned, torch.bfloat16).state_dict()
    weights = plain.state_dict()
    assert weights.keys() == ours.keys()
    positions = weights.pop("model.audio_tower.embed_positions.weight")
    assert torch.equal(positions[:300], ours.pop("model.audio_tower.embed_positions.weight"))
    assert all(torch.equal(weights[name], ours[name]) for name in ours)


def test_a_window_of_30_s_leaves_the_words_as_they_are(pruned, exported, rows, prompt):
    """Of the library; the model itself has a window of 6 s."""
    settings = GenerationSettings(batch_size=6, max_new_tokens=40, precision="fp32")
    texts = [
        translate(load_model(model, torch.float32), load_processor(model), rows, prompt, settings)
        for model in (pruned, exported)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1


def test_positions_go_on_as_whispers():
    """The first half of a row is sines of its number, by angles of 1 to 1/10000; then cosines."""
    table = sinusoids(300, 8).bfloat16()
    padded = padded_positions(table, 1500)
    assert padded.shape == (1500, 8)
    assert torch.equal(padded[:300], table)
    row = padded[1499].float()
    assert row[[0, 4]].tolist() == pytest.approx([np.sin(1499), np.cos(1499)], abs=0.01)
    assert row[[3, 7]].tolist() == pytest.approx([np.sin(0.1499), np.cos(0.1499)], abs=0.01)


def test_a_window_of_30_s_is_left_alone():
    settings = {"chunk_length": 30, "n_samples": 480_000, "sampling_rate": 16_000}
    assert padded_extractor(settings) == settings


@pytest.mark.parametrize("version", ["5", pytest.param("4", marks=pytest.mark.slow)])
def test_transformers_loads_it_without_this_project(exported, rows, prompt, tmp_path, version):
    """Version 4 is in the environment of COMET, which `make test-all` installs."""
    python = sys.executable if version == "5" else str(ROOT / ".venv-comet" / "bin" / "python")
    if version == "4" and not Path(python).exists():
        pytest.skip("no environment with transformers 4; make .venv-comet/installed")
    row, processor = rows[2], load_processor(exported)
    text = prompt.render(processor, row["pair"])
    np.save(tmp_path / "clip.npy", read_audio(row["audio"]))
    process = subprocess.run(
        [python, "-c", LOADS, str(exported), "clip.npy", text],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    settings = GenerationSettings(batch_size=1, max_new_tokens=40, precision="bf16")
    [ours] = translate(load_model(exported, torch.bfloat16), processor, [row], prompt, settings)
    assert process.stdout.strip().split("|") == [version, ours]


def test_a_quantised_model_is_not_exported(trained, tmp_path):
    pack(trained[0], tmp_path / "packed")
    with pytest.raises(InputError, match="quantised already"):
        export(tmp_path / "packed", tmp_path / "bf16")
    assert not (tmp_path / "bf16").exists()
