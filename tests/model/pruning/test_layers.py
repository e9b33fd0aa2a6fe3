import pytest
import torch
from tiny_model import logits

from slimspeech.errors import InputError
from slimspeech.models.loading import load_model, load_processor, save_model
from slimspeech.pruning.layers import keep_layers, list_layers, prune_checkpoint

KEPT = [[0, 2, 3], [0, 1, 3], [1], [0, 1, 2, 3]]


def shape(model):
    """Everything that has the number of a decoder's layers."""
    decoder = model.get_decoder()
    return (
        len(decoder.layers),
        decoder.config.num_hidden_layers,
        len(decoder.config.layer_types),
        [layer.self_attn.layer_idx for layer in decoder.layers],
    )


@pytest.mark.parametrize("kept", KEPT)
def test_all_counts_agree(kept, model):
    layers = list(model.get_decoder().layers)
    keep_layers(model, kept)
    assert shape(model) == (len(kept), len(kept), len(kept), list(range(len(kept))))
    assert all(now is layers[i] for now, i in zip(model.get_decoder().layers, kept, strict=True))
    assert model.config.text_config.num_hidden_layers == len(kept)


def test_layer_types_go_with_their_layers(model):
    config = model.get_decoder().config
    config.layer_types = ["full_attention", "sliding_attention", "a", "b"]
    keep_layers(model, [0, 2, 3])
    assert config.layer_types == ["full_attention", "a", "b"]


def test_removed_layers_change_the_output(model, features):
    full = logits(model, features)
    keep_layers(model, [0, 2, 3])
    assert not torch.allclose(full, logits(model, features), atol=1e-3)


def test_saved_and_reloaded_is_identical(model, features, processor, tmp_path):
    keep_layers(model, [0, 2, 3])
    before = logits(model, features)
    save_model(model, processor, tmp_path / "pruned")
    assert list_layers(tmp_path / "pruned") == {"kept": [0, 1, 2], "removed": []}
    reloaded = load_model(tmp_path / "pruned", torch.float32)
    assert shape(reloaded) == shape(model)
    assert torch.equal(logits(reloaded, features), before)


@pytest.mark.parametrize("kept", KEPT)
def test_streamed_is_what_pruning_in_memory_saves(kept, trained, tmp_path):
    prune_checkpoint(trained[0], tmp_path / "streamed", kept)
    model = load_model(trained[0], torch.bfloat16)
    keep_layers(model, kept)
    save_model(model, load_processor(trained[0]), tmp_path / "saved")
    for file in (tmp_path / "saved").iterdir():
        assert (tmp_path / "streamed" / file.name).read_bytes() == file.read_bytes(), file.name
    assert len(list((tmp_path / "streamed").iterdir())) == len(list((tmp_path / "saved").iterdir()))


def test_wrong_list_streams_nothing(trained, tmp_path):
    with pytest.raises(InputError, match="do not fit a decoder of 4 layers"):
        prune_checkpoint(trained[0], tmp_path / "streamed", [0, 4])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kept", [[0, 2, 3], [1, 3], [0, 1, 2]])
def test_cache_changes_nothing(kept, model, features):
    keep_layers(model, kept)
    inputs = {key: value[:1] for key, value in features.items() if key != "labels"}
    options = {"do_sample": False, "max_new_tokens": 12, "min_new_tokens": 12}
    cached = model.generate(**inputs, **options, use_cache=True)
    assert torch.equal(cached, model.generate(**inputs, **options, use_cache=False))


def test_pruning_twice_is_pruning_once(model, trained, features):
    keep_layers(model, [0, 2, 3])
    keep_layers(model, [0, 2])
    once = load_model(trained[0], torch.float32)
    keep_layers(once, [0, 3])
    assert torch.equal(logits(model, features), logits(once, features))


@pytest.mark.parametrize("kept", [[], [1, 0], [0, 0, 1], [0, 4], [-1, 0]])
def test_wrong_lists_are_refused_and_leave_the_model_whole(kept, model):
    before = shape(model)
    with pytest.raises(InputError, match="do not fit a decoder of 4 layers"):
        keep_layers(model, kept)
    assert shape(model) == before
