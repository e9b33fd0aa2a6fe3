"""Sizes of the options, against the predicted size of the whole model in that form."""

import copy
from itertools import product

import pytest
from project import REPOSITORY

from slimspeech import families
from slimspeech.budget.choice import check_bounds, spend
from slimspeech.budget.forms import (
    Losses,
    Request,
    Vocabulary,
    expected_losses,
    options,
    without_losses,
)
from slimspeech.errors import InputError
from slimspeech.models.loading import read_config
from slimspeech.quantization.predicted_size import full_size, predicted_bytes

QWEN = "qwen2_audio"
MINI = read_config(REPOSITORY / "resources" / "mini" / "base")
# Layers that are left: all, and without eight; of Gemma 4 the sixth of every six has another size.
KEPT = {
    QWEN: [range(32), range(24)],
    "voxtral": [range(30), range(22)],
    "gemma4_unified": [range(48), [n for n in range(48) if n not in (0, 1, 2, 5, 6, 7, 8, 9)]],
}
WITHOUT = {"gemma4_unified": ["vision"]}


@pytest.mark.parametrize("family", KEPT)
def test_options_add_up_to_the_predicted_size(family):
    config, without = full_size(family), WITHOUT.get(family, [])
    request = Request(KEPT[family], "nf4", [Vocabulary(None, 0), Vocabulary(20_032, 2.4)])
    groups = options(config, request, without_losses(config, request), without)
    forms = list(product(*groups.values()))
    assert len(forms) == {QWEN: 64, "voxtral": 64, "gemma4_unified": 16}[family]
    for chosen in (forms[0], forms[-1]):
        form = {key: value for option in chosen for key, value in option.form.items()}
        kept, vocabulary = form.pop("kept"), form.pop("vocabulary")
        pruned = copy.deepcopy(config)
        families.of(config).keep_in_config(pruned.text_config, kept)
        for part in without:
            setattr(pruned, families.of(config).unused_parts[part], None)
        tensors = sum(predicted_bytes(pruned, form, vocabulary).values())
        headers = sum(option.bytes for option in chosen) - tensors
        assert 0 < headers < 1e-3 * tensors


def test_parts_of_the_recipe_are_fixed_and_the_embedding_stays_loadable():
    for quantization, expected in [
        ("nf4", {"audio_tower": 2, "projector": 2, "decoder": 2, "vocabulary": 2}),
        ({"head": "none"}, {"audio_tower": 2, "projector": 2, "decoder": 2, "vocabulary": 1}),
        ("none", {"audio_tower": 1, "projector": 1, "decoder": 1, "vocabulary": 1}),
    ]:
        request = Request([range(12)], quantization, [Vocabulary(None, 0)])
        groups = options(MINI, request, without_losses(MINI, request))
        assert {name: len(own) for name, own in groups.items()} == {"fixed": 1} | expected
        assert {own.form["embedding"] for own in groups["vocabulary"]} == {"none"}
    request = Request([range(12)], {"embedding": "nf4"}, [Vocabulary(None, 0)])
    groups = options(MINI, request, without_losses(MINI, request))
    assert {own.form["embedding"] for own in groups["vocabulary"]} == {"nf4"}


def test_losses_add_up():
    """Layers that are gone cost nothing by rounding."""
    request = Request([range(12), [0, 11]], {"projector": "none"}, [Vocabulary(640, 10)])
    parts = {"audio_tower": 0.01, "decoder": 0.08, "head": 0.02}
    losses = Losses([0.0, 0.3], parts, [0.02, 0.01, 0.01, *[0.0] * 9], whole=0.7)
    groups = options(MINI, request, losses)
    decoder = {(len(own.form["kept"]), own.form["decoder"]): own.loss for own in groups["decoder"]}
    assert decoder == pytest.approx(
        {(12, "none"): 0, (12, "nf4"): 0.08, (2, "none"): 0.3, (2, "nf4"): 0.3 + 0.04}
    )
    heads = {own.form["head"]: own.loss for own in groups["vocabulary"]}
    assert heads == pytest.approx({"none": 0.07, "nf4": 0.09})


def test_what_training_wins_back_and_what_was_luck():
    sensitivities = {
        "whole": {"loss": 0.7},
        "parts": {"decoder": {"loss": 0.75}, "head": {"loss": 0.69}},
        "layers": [{"loss": 0.72}, {"loss": 0.65}],
    }
    losses = expected_losses(sensitivities, [{}, {"loss": 0.9}], repair=0.75)
    assert losses.removed == pytest.approx([0, 0.05])
    assert losses.parts == pytest.approx({"decoder": 0.05, "head": 0})
    assert losses.layers == pytest.approx([0.02, 0]) and losses.whole == 0.7


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("1 MB", "1 MB is below [12].* MB, the smallest form of this student; raise"),
        ("8 MB", "8 MB is no limit: .* takes 7.* MB; lower"),
    ],
)
def test_a_budget_that_cannot_be_is_refused(budget, words):
    """The mini base has 7.66 MB."""
    with pytest.raises(InputError, match=words):
        check_bounds(MINI, budget, range(4), [None], "nf4")


def test_the_smallest_forms_at_full_size():
    """Of 24 layers with 20,000 tokens: 3.18 GB, less 0.12 by a 4-bit head. A layer has 0.104 GB."""
    config = full_size(QWEN)
    bounds = check_bounds(config, "3.4 GB", [8], [20_000, 33_000], "nf4")
    assert bounds["smallest"] / 1e9 == pytest.approx(3.18 - 0.12, abs=0.01)
    assert bounds["budget"] == 3_400_000_000
    deeper = check_bounds(config, "2.5 GB", range(17), [20_000], "nf4")
    assert bounds["smallest"] - deeper["smallest"] == pytest.approx(8 * 104_448_894, rel=1e-3)
    assert deeper["largest"] / 1e9 == pytest.approx(16.79 - 2 * 136_032 * 8192 / 1e9, abs=0.01)


def test_the_choice_has_a_reason_and_lies_on_its_front():
    """To round the decoder is enough, and costs least."""
    kept = [range(12), [n for n in range(12) if n != 5]]
    parts = {"audio_tower": 0.02, "projector": 0.03, "decoder": 0.01, "head": 0.02}
    losses = Losses([0.0, 0.4], parts, [0.0] * 12, whole=0.7)
    choice = spend(MINI, "5 MB", Request(kept, "nf4", [Vocabulary(None, 0)]), losses, [5])
    assert choice["quantization"] == {
        "audio_tower": "none",
        "decoder": "nf4",
        "embedding": "none",
        "head": "none",
        "projector": "none",
    }
    assert choice["kept"] == list(range(12)) and choice["removed"] == []
    assert choice["bytes"] in [point["bytes"] for point in choice["front"]]
    assert "0 layers removed, decoder in NF4, all tokens" in choice["reason"]
    assert "(decoder 0.010); for 0.000 it would take 7.6" in choice["reason"]
