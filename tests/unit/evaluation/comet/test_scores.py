"""The code around COMET's own scores; tests/workflow/test_comet.py runs COMET itself."""

import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.comet import scores
from slimspeech.evaluation.comet.checkpoints import Checkpoint

CHECKPOINT = Checkpoint(
    metric="comet22",
    model="Unbabel/wmt22-comet-da",
    revision="2760a223ac957f30acfb18c8aa649b01cf1d75f2",
    checkpoint="checkpoints/model.ckpt",
    class_name="RegressionMetric",
    needs_reference=True,
    trusted=False,
)
TALKS = [{"id": key, "talk": talk} for key, talk in (("a", "t.2"), ("b", "t.1"), ("c", "t.2"))]


def test_a_score_is_the_mean_of_its_segments(monkeypatch):
    monkeypatch.setattr(scores, "version", {"unbabel-comet": "2.2.7"}.get)
    rows = [{"id": key, "score": score} for key, score in zip("abc", [0.5, -1.0, 0.8], strict=True)]
    summary = scores.summarize(CHECKPOINT, rows, TALKS)
    assert summary["score"] == pytest.approx(0.1)
    assert summary["segments"] == 3
    assert list(summary["talks"]) == ["t.2", "t.1"]
    assert summary["talks"]["t.2"] == {"segments": 2, "score": pytest.approx(0.65)}
    assert summary["signature"] == (
        "nrefs:1|model:Unbabel/wmt22-comet-da|revision:2760a223ac95|class:RegressionMetric"
        "|version:2.2.7"
    )


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_refused(monkeypatch, score):
    monkeypatch.setattr(scores, "load", lambda checkpoint: None)
    monkeypatch.setattr(scores, "predict", lambda *_: [score, 0.5, score])
    hypotheses = [{"id": key, "hypothesis": ""} for key in "abc"]
    manifest = [{"id": key, "source": "", "target": ""} for key in "abc"]
    message = r"model.ckpt: 2 of 3 scores .* \(a, c\); .*comet.comet22.model"
    with pytest.raises(InputError, match=message):
        scores.score_segments(CHECKPOINT, hypotheses, manifest, batch_size=1)


@pytest.mark.parametrize(
    ("hypotheses", "manifest", "message"),
    [
        ([], ["a", "b"], r"2 segments without a hypothesis \(a, b\)"),
        (["a"], ["a", "b"], r"1 segments without a hypothesis \(b\)"),
        (["a", "b"], ["a"], r"1 hypotheses of no segment \(b\)"),
        ([], [], "nothing to score: the manifest holds no segments"),
    ],
)
def test_no_model_is_loaded_for_rows_that_do_not_match(hypotheses, manifest, message):
    with pytest.raises(InputError, match=message):
        scores.score_segments(
            CHECKPOINT,
            [{"id": key, "hypothesis": ""} for key in hypotheses],
            [{"id": key, "source": "", "target": ""} for key in manifest],
            batch_size=1,
        )
