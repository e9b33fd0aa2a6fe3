"""Pruning in memory, on disk and after loading again; what the search measures."""

from copy import deepcopy

import pytest
import torch

from slimspeech.errors import InputError
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.models.loading import load_for_inference, load_processor, save_model
from slimspeech.pruning.criteria import GoldCorpus, block_influence, removal_losses
from slimspeech.pruning.layers import keep_layers, list_layers, prune_checkpoint
from slimspeech.pruning.search import SearchSettings, prune

KEPT = [[0, 2, 3, 5, 7], [0, 1, 3], [1, 2, 6, 7]]


@torch.inference_mode()
def logits(model, base):
    batch = Collator(base.processor, base.prompt)(base.rows)
    labels = batch.pop("labels")
    return model(**batch, use_cache=False).logits[labels != IGNORED]


def pruned(base, kept):
    model = deepcopy(base.model)
    keep_layers(model, kept)
    return model


@pytest.mark.parametrize("kept", KEPT)
def test_pruned_in_memory_is_pruned_on_disk_and_loaded(base, kept, tmp_path):
    prune_checkpoint(base.directory, tmp_path / "streamed", kept)
    rounded = load_for_inference(base.directory, "bf16").float()
    keep_layers(rounded, kept)
    streamed = load_for_inference(tmp_path / "streamed", "bf16").float()
    state = rounded.state_dict()
    assert state.keys() == streamed.state_dict().keys()
    for name, value in streamed.state_dict().items():  # transformers keeps a few in fp32
        assert torch.equal(state[name].bfloat16(), value.bfloat16()), name
    assert len(list_layers(tmp_path / "streamed")["kept"]) == len(kept)


def test_pruned_saved_and_loaded_gives_the_same_logits(base, tmp_path):
    model = pruned(base, [0, 2, 3, 5, 7])
    save_model(model, load_processor(base.directory), tmp_path / "pruned")
    loaded = load_for_inference(tmp_path / "pruned", "fp32")
    assert torch.equal(logits(loaded, base), logits(model, base))
    assert not torch.allclose(logits(model, base), logits(base.model, base), atol=1e-2)


def test_pruning_twice_is_pruning_once(base):
    twice = pruned(base, [0, 2, 3, 7])
    keep_layers(twice, [1, 3])
    assert torch.equal(logits(twice, base), logits(pruned(base, [2, 7]), base))


@pytest.mark.parametrize("kept", KEPT)
def test_cache_changes_no_token(base, kept):
    model, inputs = pruned(base, kept), base.stock_inputs()
    model.generation_config.suppress_tokens = [base.model.config.audio_token_id]
    options = {"do_sample": False, "max_new_tokens": 8, "min_new_tokens": 8}
    cached = model.generate(**inputs, **options, use_cache=True)
    assert torch.equal(cached, model.generate(**inputs, **options, use_cache=False))


def test_a_stack_that_does_not_load_is_refused(base, tmp_path):
    allowed = base.family.may_be_last(base.model.config.text_config)
    if allowed is None:
        prune_checkpoint(base.directory, tmp_path / "pruned", [0, 1])
        return
    assert list_layers(base.directory)["may_be_last"] == allowed == [3, 7]
    for work in (
        lambda: keep_layers(deepcopy(base.model), [0, 1]),
        lambda: prune_checkpoint(base.directory, tmp_path / "pruned", [0, 1]),
    ):
        with pytest.raises(InputError, match=r"layer 1 cannot be the last .*protect_last: 1"):
            work()


def test_the_search_leaves_a_stack_that_loads(base, tmp_path):
    """Nothing protected, and each removal measured: the deepest layer is no candidate."""
    model = deepcopy(base.model)
    settings = SearchSettings("block_influence", protect_first=0, protect_last=0)
    generation = type("Generation", (), {"batch_size": 4})()
    layers, scores = prune(
        model, base.processor, "decoder", 3, base.rows, base.prompt, generation, settings
    )
    allowed = base.family.may_be_last(base.model.config.text_config)
    assert allowed is None or layers["kept"][-1] in allowed
    first = [row["layer"] for row in scores if row["iteration"] == 1]
    assert first == list(range(8 if allowed is None else 7))
    save_model(model, base.processor, tmp_path / "pruned")


def test_criteria_measure_what_pruning_does(base):
    corpus = GoldCorpus(base.model, base.processor, base.rows, base.prompt, batch_size=3)
    losses = removal_losses(corpus, range(8), [2, 5])
    for layer, measured in losses.items():
        model = pruned(base, [kept for kept in range(8) if kept != layer])
        batch = Collator(base.processor, base.prompt)(base.rows)
        with torch.inference_mode():
            assert model(**batch).loss.item() == pytest.approx(measured, rel=1e-4)
    influence = block_influence(corpus, range(8), [2])
    assert 0 < influence[2] < 2
