"""Pruning as a stage: search and removal in one, of the decoder or of the audio encoder."""

import copy

import pytest
import torch
from settings import configured
from tiny_model import logits

from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score
from slimspeech.families.whisper import allow_short
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_model, save_model
from slimspeech.pruning.layers import keep_encoder_layers, keep_layers, without_encoder_layer
from slimspeech.pruning.search import SearchSettings, prune, score_encoder_removals, score_removals
from slimspeech_mini.model import build_model

SETTINGS = configured(SearchSettings, protect_first=0, protect_last=1)


@pytest.fixture
def build(processor):
    """As the shared one, with two layers in the audio encoder."""

    def make(seed):
        model = build_model(processor, seed=seed, decoder_layers=4, width=64, audio_layers=2)
        return allow_short(model).eval()

    return make


@pytest.fixture
def german(rows):
    return [row for row in rows if row["pair"] == "en-de"]


def test_encoder_is_saved_and_reloaded_without_its_layer(
    build, features, processor, prompt, german, tmp_path
):
    model = build(3)
    whole = logits(model, features)
    with without_encoder_layer(model, 0):
        without = logits(model, features)
    assert torch.equal(logits(model, features), whole)
    assert not torch.allclose(without, whole, atol=1e-4)
    keep_encoder_layers(model, [1])
    save_model(model, processor, tmp_path / "pruned")
    reloaded = load_model(tmp_path / "pruned", torch.float32)
    assert len(reloaded.model.audio_tower.layers) == 1
    assert torch.equal(logits(reloaded, features), without)


def test_encoder_removals_are_scored_as_if_made(build, processor, prompt, german):
    model, generation = build(3), GenerationSettings(2, 12, "fp32")
    scores, hypotheses = score_encoder_removals(
        model, processor, [0, 1], german, prompt, generation, "auto"
    )
    for row in scores:
        pruned = copy.deepcopy(model)
        keep_encoder_layers(pruned, [i for i in (0, 1) if i != row["layer"]])
        texts = translate(pruned, processor, german, prompt, generation)
        assert texts == [h["hypothesis"] for h in hypotheses if h["layer"] == row["layer"]]
        found = score(texts, [r["target"] for r in german], "de", ["chrf++"])["chrf++"]["score"]
        assert row["score"] == found and row["metric"] == "chrf++"


def test_decoder_stage_is_the_search_iteration_by_iteration(build, processor, prompt, german):
    model, generation = build(3), GenerationSettings(8, 12, "fp32")
    first, _ = score_removals(
        model,
        processor,
        [0, 1, 2, 3],
        [0, 1, 2],
        german,
        [],
        prompt,
        generation,
        configured(SearchSettings, "loss"),
    )
    best = min(first, key=lambda row: row["score"])["layer"]
    expected = copy.deepcopy(model)
    settings = configured(SearchSettings, "loss", protect_first=0, protect_last=1)
    layers, scores = prune(model, processor, "decoder", 2, german, prompt, generation, settings)
    assert layers["removed"][0] == best and len(layers["removed"]) == 2
    assert [row["iteration"] for row in scores] == [1] * 3 + [2] * 2
    keep_layers(expected, layers["kept"])
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_encoder_stage_keeps_the_first_numbers(build, processor, prompt, german):
    model, generation = build(3), GenerationSettings(8, 12, "fp32")
    expected = copy.deepcopy(model)
    layers, scores = prune(model, processor, "encoder", 1, german, prompt, generation, SETTINGS)
    assert sorted(layers["kept"] + layers["removed"]) == [0, 1]
    assert layers["removed"] == [0] and [row["layer"] for row in scores] == [0]
    keep_encoder_layers(expected, [1])
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_more_layers_than_there_are_stop_with_the_fix(build, processor, prompt, german):
    with pytest.raises(InputError, match="no layer can be removed"):
        prune(
            build(3),
            processor,
            "encoder",
            2,
            german,
            prompt,
            GenerationSettings(8, 4, "fp32"),
            SETTINGS,
        )
