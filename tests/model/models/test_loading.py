import json
import shutil
from copy import deepcopy

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import logits
from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.models import loading
from slimspeech.models.loading import (
    load_for_inference,
    load_model,
    load_processor,
    save_model,
)
from slimspeech.models.size import measure_size
from slimspeech.models.validation.weights import read_header, read_weights
from slimspeech.pruning.layers import list_layers
from slimspeech.quantization.pack import pack


@pytest.fixture
def saved(model, processor, tmp_path):
    save_model(model, processor, tmp_path / "model")
    return tmp_path / "model"


def test_saved_and_loaded_is_identical(saved, model, features, processor, prompt):
    assert torch.equal(logits(load_model(saved, torch.float32), features), logits(model, features))
    again = load_processor(saved)
    assert prompt.render(again, "en-de") == prompt.render(processor, "en-de")
    assert again.feature_extractor.n_samples == processor.feature_extractor.n_samples
    text = "Das ist 这是 <|im_end|>"
    assert again.tokenizer(text).input_ids == processor.tokenizer(text).input_ids


def test_a_batch_by_the_saved_processor_translates_as_each_clip_alone(
    trained, rows, prompt, tmp_path
):
    """As with the code of a model card, which uses transformers alone."""
    directory = shutil.copytree(trained[0], tmp_path / "base")
    processor = load_processor(directory)
    processor.tokenizer.init_kwargs["padding_side"] = "right"
    processor.save_pretrained(directory)
    load_processor(directory).save_pretrained(directory)
    stock = AutoProcessor.from_pretrained(directory)
    batch = stock(
        text=[prompt.render(stock, row["pair"]) for row in rows[:3]],
        audio=[read_audio(row["audio"]) for row in rows[:3]],
        sampling_rate=16_000,
        padding=True,
        return_tensors="pt",
    )
    tokens = load_model(directory, torch.float32).generate(**batch, max_new_tokens=40)
    texts = stock.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    assert [text.strip() for text in texts] == [row["target"] for row in rows[:3]]


def test_weights_under_the_names_of_modules(saved, model, features, tmp_path):
    """As `save_file(model.state_dict(), …)` writes them, which transformers reads as well."""
    size = measure_size(saved)
    save_file(model.state_dict(), saved / "model.safetensors")
    assert not read_header(saved / "model.safetensors").keys() & read_weights(saved).keys()
    assert torch.equal(logits(load_model(saved, torch.float32), features), logits(model, features))
    assert measure_size(saved)["weights_by_part"] == size["weights_by_part"]
    pack(saved, tmp_path / "packed", "nf4")
    names = read_header(tmp_path / "packed" / "model.safetensors").keys()
    assert {"language_model.lm_head.weight", "audio_tower.conv1.weight"} <= names


def test_precision_is_what_is_asked_for(saved):
    assert load_for_inference(str(saved), "fp32").dtype == torch.float32
    assert load_for_inference(str(saved), "bf16").dtype == torch.bfloat16


@pytest.mark.parametrize("precision, rounds", [("fp32", False), ("bf16", True)])
def test_convolutions_in_fp32_are_not_rounded_by_the_gpu(saved, monkeypatch, precision, rounds):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)  # torch's own default
    load_for_inference(str(saved), precision)
    assert torch.backends.cudnn.allow_tf32 is rounds


def test_a_model_larger_than_the_gpu_is_one_sentence(saved, monkeypatch):
    def run_out(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(Qwen2AudioForConditionalGeneration, "from_pretrained", run_out)
    with pytest.raises(InputError, match="does not fit the memory of the GPU"):
        load_model(saved, torch.float32)


def test_model_that_cannot_be_tried_is_not_saved(model, processor, tmp_path, monkeypatch):
    def fail(directory):
        raise RuntimeError("no good")

    monkeypatch.setattr(loading, "try_model", fail)
    with pytest.raises(RuntimeError, match="no good"):
        save_model(model, processor, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_model_with_broken_weights_is_not_saved(model, processor, tmp_path):
    model.model.multi_modal_projector.linear.weight.data[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="not numbers"):
        save_model(model, processor, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def load(directory):
    return load_model(directory, torch.float32)


def infer(directory):
    return load_for_inference(str(directory), "bf16")


@pytest.mark.parametrize("read", [load, infer, load_processor, list_layers])
def test_missing_directory(read, tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no model there \(config.json is missing\)"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("read", [load, infer, load_processor])
def test_pickled_weights_are_not_read(read, saved):
    weights = load_file(saved / "model.safetensors")
    (saved / "model.safetensors").unlink()
    torch.save(weights, saved / "pytorch_model.bin")
    with pytest.raises(InputError, match="can carry code"):
        read(saved)


@pytest.mark.parametrize(("read", "headers"), [(infer, 1), (load, 1), (load_processor, 0)])
def test_directory_is_checked_once(read, headers, saved, monkeypatch):
    checks = []
    for name in ("check_directory", "read_weights"):
        check = getattr(loading, name)
        note = lambda path, name=name, check=check: (checks.append(name), check(path))[1]  # noqa: E731
        monkeypatch.setattr(loading, name, note)
    read(saved)
    assert checks == ["check_directory"] + headers * ["read_weights"]


def test_missing_weight_is_not_made_up(saved):
    weights = load_file(saved / "model.safetensors")
    name = next(name for name in weights if "layers.2.mlp.up_proj" in name)
    del weights[name]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="1 missing or of another shape, such as .*up_proj"):
        load(saved)


def test_weight_of_another_shape_is_not_made_up(saved):
    weights = load_file(saved / "model.safetensors")
    name = next(name for name in weights if "layers.2.mlp.up_proj" in name)
    weights[name] = weights[name][:-1].clone()
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises((InputError, RuntimeError), match="(?i)up_proj|mismatch"):
        load(saved)


def test_config_that_promises_more_layers_is_refused(saved):
    """What removing modules without telling the config leaves behind."""
    config = json.loads((saved / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 5
    config["text_config"]["layer_types"].append("full_attention")
    (saved / "config.json").write_text(json.dumps(config))
    assert len(list_layers(str(saved))["kept"]) == 5
    with pytest.raises(InputError, match="12 missing"):
        load(saved)


def test_tokenizer_with_more_tokens_than_the_embedding_is_refused(saved, processor):
    larger = deepcopy(processor)
    larger.tokenizer.add_tokens(["one", "too", "many"])
    larger.save_pretrained(saved)
    tokens = len(processor.tokenizer)
    with pytest.raises(InputError, match=f"has {tokens + 3} tokens and the embedding {tokens};"):
        load_processor(saved)


def test_tokenizer_whose_audio_token_is_another_is_refused(saved):
    config = json.loads((saved / "config.json").read_text())
    config["audio_token_index"] += 1
    (saved / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"the tokenizer is another model's: its <\|AUDIO\|> is"):
        load_processor(saved)
