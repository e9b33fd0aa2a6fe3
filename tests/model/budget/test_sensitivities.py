"""What is measured of a changed model, against a model that is really changed."""

import copy

import pytest
import torch

from slimspeech.budget.choice import spend
from slimspeech.budget.forms import Request, Vocabulary, expected_losses
from slimspeech.budget.sensitivities import measure_sensitivities
from slimspeech.generation.translation import translate
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor, read_config
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import keep_layers, prune_checkpoint
from slimspeech.pruning.search import score_texts
from slimspeech.quantization.nf4 import round_to_nf4
from slimspeech.quantization.pack import pack


@pytest.fixture(scope="module")
def german(rows):
    return [row for row in rows if row["pair"] == "en-de"]


@pytest.fixture(scope="module")
def measured(trained, german, prompt, greedy):
    model, processor = load_for_inference(trained[0], "fp32"), load_processor(trained[0])
    before = copy.deepcopy(model.state_dict())
    removals = {"chrf": [1, 2]}
    sensitivities = measure_sensitivities(
        model, processor, german, removals, prompt, greedy, "auto"
    )
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "restored"
    return sensitivities


def expected(model, processor, rows, prompt, greedy):
    """By the model's own loss and by translating."""
    batch = Collator(processor, prompt)(rows)
    texts = translate(model, processor, rows, prompt, greedy)
    with torch.inference_mode():
        loss = model(**batch).loss.item()
    return {"loss": pytest.approx(loss, abs=1e-4), "score": score_texts(texts, rows, "chrf++")}


def test_all_is_measured(measured, german):
    assert (measured["segments"], measured["metric"]) == (len(german), "chrf++")
    assert list(measured["parts"]) == ["audio_tower", "projector", "decoder", "embedding", "head"]
    assert measured["together"]["loss"] != measured["whole"]["loss"]
    assert len(measured["layers"]) == 4 and len(measured["removed"]["chrf"]) == 2


def test_a_rounded_part_is_that_of_a_packed_model(
    measured, trained, german, prompt, greedy, model, processor
):
    assert measured["whole"] == expected(model, processor, german, prompt, greedy)
    model.lm_head.weight.data = round_to_nf4(model.lm_head.weight.data.bfloat16()).float()
    assert measured["parts"]["head"] == expected(model, processor, german, prompt, greedy)


def test_a_rounded_audio_tower_is_heard(measured, trained, german, prompt, greedy, tmp_path):
    """Packed with everything else in bfloat16, which these weights are not."""
    form = dict.fromkeys(["projector", "decoder", "embedding", "head"], "none")
    pack(trained[0], tmp_path / "packed", form)
    packed = load_for_inference(tmp_path / "packed", "fp32")
    found = expected(packed, load_processor(tmp_path / "packed"), german, prompt, greedy)
    rise = measured["parts"]["audio_tower"]["loss"] - measured["whole"]["loss"]
    assert rise != 0
    assert measured["parts"]["audio_tower"]["loss"] == pytest.approx(
        found["loss"].expected, abs=0.1 * abs(rise) + 0.01
    )


def test_removed_layers_are_those_of_a_pruned_model(
    measured, german, prompt, greedy, model, processor
):
    keep_layers(model, [0, 3])
    assert measured["removed"]["chrf"][1] == expected(model, processor, german, prompt, greedy)


def test_the_chosen_form_is_written_in_the_predicted_bytes(measured, trained, tmp_path):
    config = read_config(trained[0])
    kept = [[0, 1, 2, 3], [0, 2, 3], [0, 3]]
    losses = expected_losses(measured, [{}, *measured["removed"]["chrf"]], repair=0.8)
    request = Request(kept, "nf4", [Vocabulary(None, 0)])
    choice = spend(config, "0.3 MB", request, losses, [1, 2])
    assert choice["bytes"] <= 300_000
    assert any(point["bytes"] == choice["bytes"] for point in choice["front"])
    prune_checkpoint(trained[0], tmp_path / "pruned", choice["kept"])
    pack(tmp_path / "pruned", tmp_path / "packed", choice["quantization"])
    written = measure_size(tmp_path / "packed")["bytes"]
    assert written <= choice["bytes"] <= written + 30_000
