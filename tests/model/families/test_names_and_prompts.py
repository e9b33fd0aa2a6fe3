"""Names of tensors, the gate, numbers of audio tokens, prompts: without running a model."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_families import MAKERS

from slimspeech import families
from slimspeech.errors import InputError
from slimspeech.families.speech_processor import FILES
from slimspeech.models.checkpoints import rewrite
from slimspeech.models.loading import load_processor, read_config
from slimspeech.models.shapes import shapes
from slimspeech.models.size import measure_size
from slimspeech.models.validation.weights import read_weights, require_weights
from slimspeech.quantization.predicted_size import count_weights, predicted_bytes


def stored(directory):
    with safe_open(directory / "model.safetensors", framework="pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def test_names_and_shapes_are_those_that_transformers_writes(base):
    expected = {name: tuple(shape) for name, shape in shapes(read_config(base.directory)).items()}
    assert expected == stored(base.directory)


def test_names_of_modules_are_read_as_those_of_files(base, tmp_path):
    """As `save_file(model.state_dict(), …)` writes them; the output head may be the embedding."""
    directory = shutil.copytree(base.directory, tmp_path / "base")
    state = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    save_file(state, directory / "model.safetensors")
    config = read_config(directory)
    tensors = read_weights(directory)
    require_weights(directory, tensors, shapes(config), packed=False)
    rewrite(directory, tmp_path / "bf16", config, needed=0, memory=0)
    assert stored(tmp_path / "bf16") == stored(base.directory)


def test_every_tensor_belongs_to_a_part(base):
    size = measure_size(base.directory)
    assert "other" not in size["weights_by_part"]
    assert size["weights_by_part"] == count_weights(read_config(base.directory))
    assert size["decoder_layers"] == 8


def test_written_again_it_is_as_large_as_predicted(base, tmp_path):
    config = read_config(base.directory)
    rewrite(base.directory, tmp_path / "bf16", config, needed=0, memory=0)
    assert stored(tmp_path / "bf16") == stored(base.directory)
    assert measure_size(tmp_path / "bf16")["bytes_by_part"] == predicted_bytes(config, "none")
    for name in FILES:  # of the processor, byte for byte
        if (base.directory / name).exists() and base.family.processor_class == "SpeechProcessor":
            assert (tmp_path / "bf16" / name).read_bytes() == (base.directory / name).read_bytes()


def test_config_is_written_as_it_was_published(base, tmp_path):
    """Of the keys that serving engines read, none is gone or another."""
    rewrite(base.directory, tmp_path / "bf16", read_config(base.directory), needed=0, memory=0)
    before, after = (
        json.loads((directory / "config.json").read_text())["text_config"]
        for directory in (base.directory, tmp_path / "bf16")
    )
    assert after | {"dtype": None} == before | {"dtype": None}
    assert "per_layer_config" not in after


def test_another_familys_processor_is_refused(base, tmp_path, tmp_path_factory):
    for other in MAKERS.keys() - {base.family.model_type}:
        directory = tmp_path / other
        directory.mkdir()
        MAKERS[other](directory, ["text"])
        shutil.copy(base.directory / "config.json", directory)
        with pytest.raises(InputError, match="copy the processor's files"):
            load_processor(directory)


def test_a_family_that_is_not_known_is_named_with_those_that_are():
    with pytest.raises(InputError, match=r"whisper.*Qwen2-Audio.*Gemma 4.*Voxtral"):
        families.by_type("whisper")


def test_audio_tokens_are_as_many_as_embeddings(base, clips):
    """Each clip by transformers' own features and forward."""
    counts = base.family.token_counts(base.processor, [len(clip) for clip in clips])
    for clip, count in zip(clips, counts, strict=True):
        features = base.stock_features([clip])
        mask = next((value for name, value in features.items() if "mask" in name), None)
        if base.family.model_type == "qwen2_audio":
            tower = base.model.model.audio_tower
            _, lengths = tower._get_feat_extract_output_lengths(mask.sum(-1))
            assert count == int(lengths)
        elif mask is not None:
            assert count == int(mask.sum())
        else:
            with torch.inference_mode():
                found = base.model.model.get_audio_features(**features, return_dict=True)
            assert count == len(found.pooler_output)


@pytest.mark.parametrize("samples", [1, 640, 641, 479_999, 480_000, 480_001])
def test_features_are_those_of_transformers(base, samples):
    """Of clips that end at the edges of frames, and of chunks."""
    limit = base.family.window_seconds or base.processor.feature_extractor.n_samples / 16_000
    if samples > limit * 16_000 or (samples == 1 and base.family.model_type != "gemma4_unified"):
        pytest.skip("longer than the window, or shorter than a mel frame")
    clip = (0.1 * np.sin(np.arange(samples) / 9)).astype(np.float32)
    [own] = base.family.features(base.processor, [clip])
    stock = base.stock_features([clip])
    assert own.keys() == stock.keys()
    assert all(torch.equal(own[name], stock[name]) for name in own)
    [count] = base.family.token_counts(base.processor, [samples])
    rows = next(iter(own.values())).shape[0]
    assert base.family.rows(count) == rows


LAYOUTS = {
    "qwen2_audio": (
        "<|im_start|>system\nYou translate.<|im_end|>\n<|im_start|>user\n"
        "Audio 1: <|audio_bos|>{audio}<|audio_eos|>\n{request}<|im_end|>\n<|im_start|>assistant\n"
    ),
    "gemma4_unified": (
        "<bos><|turn>system\nYou translate.<turn|>\n<|turn>user\n{request}<|audio>{audio}<audio|>"
        "<turn|>\n<|turn>model\n<|channel>thought\n<channel|>"
    ),
    "voxtral": "<s>[INST][BEGIN_AUDIO]{audio}{request}[/INST]",
}


def test_prompt_is_laid_out_as_the_publisher_does(base):
    ids = base.prompt.ids(base.processor, "en-de", 3)
    _, placeholder, _ = base.family.audio_marks
    expected = LAYOUTS[base.family.model_type].format(
        audio=3 * placeholder, request="Translate the following speech into German."
    )
    tokenizer = base.processor.tokenizer
    assert ids == tokenizer(expected, add_special_tokens=False).input_ids
    assert ids.count(base.model.config.audio_token_id) == 3
    assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids
