"""What streaming writes, held against what save_pretrained writes of a model in memory."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file, save_file
from tiny_model import logits
from transformers import Qwen2AudioForConditionalGeneration

from slimspeech.errors import InputError
from slimspeech.families.qwen2_audio import FAMILY as QWEN2_AUDIO
from slimspeech.models import checkpoints, shapes
from slimspeech.models.loading import load_for_inference, load_model, load_processor, read_config
from slimspeech.models.nf4_embedding import NF4Embedding
from slimspeech.models.size import measure_size
from slimspeech.quantization.nf4 import nf4, round_to_nf4
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import predicted_bytes

SMALLEST = {"embedding": "nf4", "head": "nf4"}


def pack_in_memory(source, target, quantization="nf4"):
    """With nothing but transformers and bitsandbytes."""
    form = None if quantization == "none" else nf4(quantization, QWEN2_AUDIO)
    model = load_model(source, torch.bfloat16, form)
    model.save_pretrained(target)
    load_processor(source).save_pretrained(target)


def read_weights(directory):
    return {
        k: v for file in Path(directory).glob("*.safetensors") for k, v in load_file(file).items()
    }


def same(found, expected):
    return found.keys() == expected.keys() and all(
        found[key].dtype == expected[key].dtype and torch.equal(found[key], expected[key])
        for key in expected
    )


@pytest.fixture(scope="module")
def smallest(trained, tmp_path_factory):
    directory = tmp_path_factory.mktemp("smallest") / "packed"
    pack(trained[0], directory, SMALLEST)
    return directory


@pytest.mark.parametrize(
    "quantization", ["nf4", "none", {"head": "nf4"}, {"audio_tower": "none", "projector": "none"}]
)
def test_every_file_is_what_save_pretrained_writes(quantization, trained, tmp_path):
    pack(trained[0], tmp_path / "streamed", quantization)
    pack_in_memory(trained[0], tmp_path / "saved", quantization)
    saved = {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}
    streamed = {file.name: file.read_bytes() for file in (tmp_path / "streamed").iterdir()}
    assert streamed.keys() == saved.keys()
    assert [name for name in saved if streamed[name] != saved[name]] == []


def test_several_files_load_as_one_does(trained, features, tmp_path):
    pack(trained[0], tmp_path / "many", "nf4", limit=100_000)
    pack_in_memory(trained[0], tmp_path / "one")
    files = sorted(file.name for file in (tmp_path / "many").glob("*.safetensors"))
    assert len(files) > 3 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    assert same(read_weights(tmp_path / "many"), read_weights(tmp_path / "one"))
    index = json.loads((tmp_path / "many" / "model.safetensors.index.json").read_text())
    total = sum(t.numel() * t.element_size() for t in read_weights(tmp_path / "one").values())
    assert index["metadata"]["total_size"] == total
    assert index["weight_map"].keys() == read_weights(tmp_path / "one").keys()
    # Packed again from several files; and by transformers alone.
    stock = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "many", dtype="auto")
    expected = logits(load_model(tmp_path / "one", torch.bfloat16), features)
    assert torch.equal(logits(load_model(tmp_path / "many", torch.bfloat16), features), expected)
    assert stock.get_output_embeddings().weight.dtype == torch.bfloat16


def test_several_files_are_read(trained, tmp_path):
    source = load_model(trained[0], torch.bfloat16)
    source.save_pretrained(tmp_path / "source", max_shard_size="200KB")
    load_processor(trained[0]).save_pretrained(tmp_path / "source")
    assert len(list((tmp_path / "source").glob("*.safetensors"))) > 3
    pack(tmp_path / "source", tmp_path / "streamed")
    pack_in_memory(trained[0], tmp_path / "saved")
    assert same(read_weights(tmp_path / "streamed"), read_weights(tmp_path / "saved"))


def test_four_bit_head_loads_with_transformers_alone(trained, features, tmp_path):
    pack(trained[0], tmp_path / "packed", {"head": "nf4"})
    model = Qwen2AudioForConditionalGeneration.from_pretrained(tmp_path / "packed", dtype="auto")
    assert isinstance(model.get_output_embeddings(), Linear4bit)
    rounded = load_model(trained[0], torch.bfloat16, nf4())
    rounded.lm_head.weight.data = round_to_nf4(rounded.lm_head.weight.data)
    found = logits(load_model(tmp_path / "packed", torch.bfloat16), features)
    assert torch.allclose(found, logits(rounded, features), atol=0.1)
    assert not torch.equal(found, logits(load_model(trained[0], torch.bfloat16, nf4()), features))


def test_four_bit_embedding_gives_the_rounded_rows(trained, smallest):
    embedding = load_model(smallest, torch.bfloat16).get_input_embeddings()
    assert isinstance(embedding, NF4Embedding)
    weight = load_model(trained[0], torch.bfloat16).get_input_embeddings().weight.data
    ids = torch.tensor([[3, 0, len(weight) - 1], [7, 3, 3]])
    for _ in range(2):  # the first call unpacks the scales
        assert torch.equal(embedding(ids), round_to_nf4(weight)[ids])


def test_four_bit_embedding_is_refused_by_transformers_alone(smallest):
    """Rather than filled with random numbers."""
    with pytest.raises(RuntimeError, match="(?i)size mismatch|mismatched"):
        Qwen2AudioForConditionalGeneration.from_pretrained(smallest, dtype=torch.bfloat16)


def test_shipped_loader_stands_alone(smallest, features):
    spec = importlib.util.spec_from_file_location("load_student", smallest / "load_student.py")
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    assert "slimspeech" not in (smallest / "load_student.py").read_text()
    ours = load_for_inference(str(smallest), "fp32")
    model = loader.load(str(smallest))
    batch = {key: value[:1] for key, value in features.items()}
    ours_logits = ours(**batch).logits
    window = model.config.audio_config.max_source_positions * 2
    assert batch["input_features"].shape[-1] <= window
    pad = window - batch["input_features"].shape[-1]
    batch["input_features"] = torch.nn.functional.pad(batch["input_features"], (0, pad))
    batch["feature_attention_mask"] = torch.nn.functional.pad(
        batch["feature_attention_mask"], (0, pad)
    )
    assert torch.allclose(model(**batch).logits.float(), ours_logits.float(), atol=0.1)


def test_smallest_is_near_to_the_one_it_came_from(trained, smallest, features):
    packed = logits(load_model(smallest, torch.bfloat16), features)
    plain = logits(load_model(trained[0], torch.bfloat16), features)
    assert (packed.argmax(-1) == plain.argmax(-1)).float().mean() > 0.8


def test_smallest_has_four_bits_where_they_are_asked_for(trained, smallest):
    size, full = measure_size(smallest), measure_size(trained[0])
    assert size["weights_by_part"] == full["weights_by_part"]
    assert size["dtypes_by_part"]["embedding"] == ["nf4"]
    assert size["dtypes_by_part"]["head"] == ["nf4"]
    assert size["dtypes_by_part"]["decoder"] == ["BF16", "nf4"]  # biases and norms


@pytest.mark.parametrize("quantization", ["nf4", "none", SMALLEST, {"audio_tower": "none"}])
def test_predicted_bytes_are_those_of_the_files(quantization, trained, tmp_path):
    pack(trained[0], tmp_path / "packed", quantization)
    config = read_config(trained[0])
    predicted, found = predicted_bytes(config, quantization), measure_size(tmp_path / "packed")
    assert predicted.keys() == found["bytes_by_part"].keys()
    for part, size in found["bytes_by_part"].items():
        # one number of each 4-bit matrix is text of more or fewer digits
        matrices = sum(".weight" in name for name in shapes.shapes(config))
        assert predicted[part] == pytest.approx(size, abs=8 * matrices)
    if quantization == "none":
        assert predicted == found["bytes_by_part"]


def test_packed_twice_is_refused(trained, tmp_path):
    pack(trained[0], tmp_path / "packed")
    with pytest.raises(InputError, match="quantised already"):
        pack(tmp_path / "packed", tmp_path / "twice")


@pytest.fixture
def broken(trained, tmp_path):
    """Writes a copy of the trained model with its weights changed."""

    def make(change):
        source = tmp_path / "source"
        load_model(trained[0], torch.bfloat16).save_pretrained(source)
        load_processor(trained[0]).save_pretrained(source)
        weights = load_file(source / "model.safetensors")
        change(weights)
        save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
        return source

    return make


UP = "language_model.model.layers.2.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(UP), f"1 missing or of another shape, such as {UP}"),
        (
            lambda weights: weights.update({UP: weights[UP][:-1].clone()}),
            f"1 missing or of another shape, such as {UP}",
        ),
        (lambda weights: weights[UP][0].fill_(torch.inf), "up_proj.weight holds values that are"),
        (lambda weights: weights[UP][0].fill_(torch.nan), "up_proj.weight holds values that are"),
    ],
)
def test_broken_weights_are_not_packed(change, message, broken, tmp_path):
    source = broken(change)
    with pytest.raises(InputError, match=message):
        pack(source, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_file_that_the_index_names_is_missing(trained, tmp_path):
    pack(trained[0], tmp_path / "source", "none", limit=100_000)
    next((tmp_path / "source").glob("model-00002*")).unlink()
    with pytest.raises(InputError, match="model-00002.*missing"):
        pack(tmp_path / "source", tmp_path / "packed")


def test_disk_that_is_too_small(trained, tmp_path, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="takes 0.00 GB and the disk has 0.00 GB free"):
        pack(trained[0], tmp_path / "packed")


@pytest.mark.parametrize(("free", "memory"), [(10**9, 10**12), (10**12, 10**9)])
def test_model_too_large_for_the_memory_is_not_run(
    free, memory, trained, tmp_path, monkeypatch, caplog
):
    def forbidden(directory):
        raise AssertionError("loaded")

    monkeypatch.setattr(checkpoints.loading, "try_model", forbidden)
    monkeypatch.setattr(
        checkpoints.psutil, "virtual_memory", lambda: type("memory", (), {"available": free})
    )
    pack(trained[0], tmp_path / "packed", memory=memory)
    assert "no prompt was run" in caplog.text
    assert same(read_weights(tmp_path / "packed"), read_weights(tmp_path / "packed"))


def test_embedding_that_does_not_divide_into_blocks(processor, tmp_path):
    from slimspeech.models.loading import save_model
    from slimspeech_mini.model import build_model

    model = build_model(processor, seed=0, decoder_layers=1, width=64, audio_layers=1)
    save_model(model, processor, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["text_config"]["hidden_size"] = 96
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="96 wide and 4 bits take a multiple of 64"):
        pack(tmp_path / "model", tmp_path / "packed", SMALLEST)
