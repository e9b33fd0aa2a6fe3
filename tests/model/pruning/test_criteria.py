"""The measures against plain transformers: a pruned copy, one clip at a time, no padding."""

import math
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.families.whisper import allow_short
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.pruning import criteria
from slimspeech.pruning.criteria import (
    GoldCorpus,
    angular_distances,
    block_influence,
    removal_divergences,
    removal_losses,
)
from slimspeech.pruning.layers import keep_layers
from slimspeech_mini.model import build_model

LAYERS = 8
STACKS = [
    (list(range(LAYERS)), [1, 2, 3, 4, 5, 6]),
    ([0, 2, 3, 6, 7], [2, 3, 6]),
    ([0, 2, 3, 6, 7], [7, 0]),  # the ends too, and in any order
]


@pytest.fixture(scope="module")
def plain(processor):
    """Eight random layers with weights large enough that each one changes the measures."""
    model = build_model(processor, seed=2, decoder_layers=LAYERS, width=64, audio_layers=2).eval()
    torch.manual_seed(6)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight) * (weight.dim() > 1)
    return model


@pytest.fixture(scope="module")
def subject(plain):
    return allow_short(deepcopy(plain))


@pytest.fixture(scope="module")
def inputs(processor, prompt, rows):
    """Each clip alone, with features of the whole window, as transformers' encoder takes them."""
    inputs = []
    for row in rows:
        single = Collator(processor, prompt)([row])
        features = processor.feature_extractor(
            [read_audio(row["audio"])],
            sampling_rate=16_000,
            return_attention_mask=True,
            return_tensors="pt",
        )
        single["input_features"] = features["input_features"]
        single["feature_attention_mask"] = features["attention_mask"]
        assert single["attention_mask"].all()
        inputs.append(single)
    return inputs


def pruned(model, kept):
    model = deepcopy(model)
    keep_layers(model, kept)
    return model


@torch.inference_mode()
def plain_states(model, single):
    """(layers + 1, tokens, hidden size): before each layer of the decoder, and after the last."""
    states = []
    layers = model.get_decoder().layers
    hooks = [layer.register_forward_pre_hook(lambda _, a: states.append(a[0])) for layer in layers]
    hooks.append(layers[-1].register_forward_hook(lambda *a: states.append(a[2])))
    model(**single)
    for hook in hooks:
        hook.remove()
    return torch.cat(states).double().numpy()


def cosines(one, other):
    norms = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return (one * other).sum(-1) / norms


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("kept, candidates", STACKS)
def test_loss_is_that_of_the_pruned_model(
    kept, candidates, batch_size, plain, subject, processor, prompt, rows, inputs, monkeypatch
):
    monkeypatch.setattr(criteria, "POSITIONS", 7)  # the answers take several rounds
    counts = [int((single["labels"] != IGNORED).sum()) for single in inputs]
    assert len(set(counts)) > 2  # a mean of the clips' means would be another
    expected = {}
    for removed in candidates:
        model = pruned(plain, [layer for layer in kept if layer != removed])
        with torch.inference_mode():
            losses = [float(model(**single).loss) for single in inputs]
        expected[removed] = np.average(losses, weights=counts)
    corpus = GoldCorpus(subject, processor, rows, prompt, batch_size)
    losses = removal_losses(corpus, kept, candidates)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert np.ptp(sorted(expected.values())) > 0.01  # the losses differ


@pytest.mark.parametrize("kept, candidates", STACKS)
def test_divergence_is_that_of_the_pruned_model(
    kept, candidates, plain, subject, processor, prompt, rows, inputs, monkeypatch
):
    monkeypatch.setattr(criteria, "POSITIONS", 7)

    @torch.inference_mode()
    def log_probabilities(model):
        answers = [single["labels"][0, 1:] != IGNORED for single in inputs]
        logits = [model(**single).logits[0, :-1] for single in inputs]
        chosen = [own[mask] for own, mask in zip(logits, answers, strict=True)]
        own = torch.cat(chosen).double()
        return own - own.logsumexp(-1, keepdim=True)

    teacher = log_probabilities(plain)
    expected = {}
    for removed in candidates:
        others = log_probabilities(pruned(plain, [layer for layer in kept if layer != removed]))
        expected[removed] = float((teacher.exp() * (teacher - others)).sum(-1).mean())
    corpus = GoldCorpus(subject, processor, rows, prompt, 4)
    assert removal_divergences(corpus, kept, candidates) == pytest.approx(expected, rel=1e-4)
    assert min(expected.values()) > 0.01  # nats


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("kept, candidates", STACKS)
def test_block_influence_is_that_of_the_pruned_stack(
    kept, candidates, batch_size, plain, subject, processor, prompt, rows, inputs
):
    model = pruned(plain, kept)
    states = np.concatenate([plain_states(model, single) for single in inputs], axis=1)
    means = 1 - cosines(states[:-1], states[1:]).mean(-1)
    expected = {layer: means[kept.index(layer)] for layer in candidates}
    corpus = GoldCorpus(subject, processor, rows, prompt, batch_size)
    influences = block_influence(corpus, kept, candidates)
    assert influences == pytest.approx(expected, abs=1e-5)
    assert np.ptp(sorted(expected.values())) > 0.01


def plain_distances(plain, inputs, block):
    """d(l, n) of every block of the stack, from the states at the last token of each clip."""
    last = np.stack([plain_states(plain, single)[:, -1] for single in inputs], axis=1)
    return (np.arccos(cosines(last[:-block], last[block:])) / math.pi).mean(-1)


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("block", [1, 3, 6])
@pytest.mark.parametrize("first, last", [(1, 6), (0, 7)])
def test_angular_distance_is_that_of_the_best_block_around_a_layer(
    first, last, block, batch_size, plain, subject, processor, prompt, rows, inputs
):
    distances = plain_distances(plain, inputs, block)
    candidates = range(first, last + 1)
    expected = {
        layer: min(
            distances[start]
            for start in range(first, last - block + 2)
            if layer in range(start, start + block)
        )
        for layer in candidates
    }
    corpus = GoldCorpus(subject, processor, rows, prompt, batch_size)
    assert angular_distances(corpus, candidates, block) == pytest.approx(expected, abs=1e-6)


def test_taking_the_deepest_of_equals_removes_the_best_block(
    plain, subject, processor, prompt, rows, inputs
):
    block = 3
    best = 1 + int(plain_distances(plain, inputs, block)[1:5].argmin())
    corpus = GoldCorpus(subject, processor, rows, prompt, 4)
    scores = angular_distances(corpus, range(1, 7), block)
    order = sorted(scores, key=lambda layer: (scores[layer], -layer))
    assert order[:block] == [best + 2, best + 1, best]
    assert len({scores[layer] for layer in order[:block]}) == 1
    assert scores[order[block]] > scores[best]


@pytest.mark.parametrize("candidates, block", [(range(1, 7), 7), ([1, 2, 4, 5, 6], 3), ([1], 0)])
def test_block_larger_than_a_run_of_removable_layers(
    candidates, block, subject, processor, prompt, rows
):
    with pytest.raises(InputError, match="pruning.iterations"):
        angular_distances(GoldCorpus(subject, processor, rows, prompt, 4), candidates, block)


def test_no_segments(subject, processor, prompt):
    with pytest.raises(InputError, match="pruning.split"):
        removal_losses(GoldCorpus(subject, processor, [], prompt, 4), range(LAYERS), [1])


def test_what_is_no_number_is_no_silent_score(subject, processor, prompt, rows):
    broken = deepcopy(subject)
    broken.get_decoder().layers[2].mlp.down_proj.weight.data[3, 3] = float("nan")
    corpus = GoldCorpus(broken, processor, rows[:1], prompt, 4)
    with pytest.raises(RuntimeError, match="logits that are not numbers"):
        removal_losses(corpus, range(LAYERS), [1])
    with pytest.raises(RuntimeError, match="states that are not numbers"):
        block_influence(corpus, range(LAYERS), [1, 2])
    with pytest.raises(RuntimeError, match="states that are not numbers"):
        angular_distances(corpus, [1, 2], 1)
    # Without the broken layer the loss is a number.
    assert math.isfinite(removal_losses(corpus, range(LAYERS), [2])[2])


def test_out_of_memory_halves_the_batch(subject, processor, prompt, rows, monkeypatch):
    usual, sizes = criteria.embed_prompts, []

    def embed_prompts(model, ids, audio):
        sizes.append(len(ids))
        if len(ids) > 2:
            raise torch.OutOfMemoryError
        return usual(model, ids, audio)

    corpus = GoldCorpus(subject, processor, rows, prompt, 6)
    expected = block_influence(corpus, range(LAYERS), [1, 4])
    monkeypatch.setattr(criteria, "embed_prompts", embed_prompts)
    influences = block_influence(replace(corpus, batch_size=5), range(LAYERS), [1, 4])
    assert influences == pytest.approx(expected, abs=1e-6)
    assert sizes == [5, 2, 2, 2]
