import json
import math

import pytest
from sacrebleu.metrics import CHRF
from sacrebleu.significance import PairedTest, estimate_ci

from slimspeech.errors import InputError
from slimspeech.evaluation.comparison import SegmentScores, compare_systems, read_segment_scores
from slimspeech.evaluation.metrics import METRICS, scorer
from slimspeech.evaluation.significance import (
    RESAMPLES,
    compare,
    draw,
    mean_scores,
    sacrebleu_p_value,
    text_scores,
)

REFERENCES = [
    "Das ist ein kleiner Test.",
    "Wir danken der Jury sehr.",
    "Guten Morgen, liebe Welt!",
    "Und nun zum zweiten Teil des Vortrags.",
    "Nein.",
] * 6
TEACHER = [
    "Das ist ein kleines Fest.",
    "Wir danken der Jury.",
    "Guten Morgen, Welt!",
    "Und nun der zweite Teil des Vortrags.",
    "Nein.",
] * 6
STUDENT = [*TEACHER[:20], *["Das ist", "Wir gehen der Jury.", "", "Und nun zum Teil.", "Ja."] * 2]
SEGMENTS = [
    {"id": str(i), "talk": "t", "target": text, "source": ""} for i, text in enumerate(REFERENCES)
]


def rows(texts):
    return [{"id": str(i), "hypothesis": text} for i, text in enumerate(texts)]


@pytest.mark.parametrize("metric", METRICS)
def test_scores_intervals_and_p_are_those_of_sacrebleu(metric):
    named = [("teacher", TEACHER), ("student", STUDENT)]
    _, expected = PairedTest(named, {metric: scorer(metric, "de")}, [REFERENCES], "bs")()
    teacher, student = expected[next(name for name in expected if name != "System")]

    times = draw(len(REFERENCES))
    ours = [text_scores(texts, REFERENCES, "de", metric, times) for texts in (TEACHER, STUDENT)]
    for scores, theirs in zip(ours, (teacher, student), strict=True):
        mean, half = estimate_ci(scores[1:])
        assert scores[0] == pytest.approx(theirs.score)
        assert (mean, half) == pytest.approx((theirs.mean, theirs.ci), rel=1e-4)
    assert sacrebleu_p_value(ours[1], ours[0]) == pytest.approx(student.p_value)
    assert 1 / (1 + RESAMPLES) <= student.p_value < 0.5


def test_every_system_is_compared_to_the_teacher():
    comparison = compare_systems(
        "en-de", SEGMENTS, {"teacher": rows(TEACHER), "A": rows(STUDENT)}, ["chrf", "bleu"]
    )
    assert (comparison["baseline"], comparison["segments"]) == ("teacher", 30)
    assert comparison["signatures"]["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0")
    student, teacher = (comparison["systems"][name]["chrf"] for name in ("A", "teacher"))
    assert student["score"] == pytest.approx(CHRF().corpus_score(STUDENT, [REFERENCES]).score)
    assert student["low"] < student["score"] < student["high"]
    assert student["difference"] == pytest.approx(student["score"] - teacher["score"])
    assert student["retention"] == pytest.approx(100 * student["score"] / teacher["score"])
    assert student["retention_low"] < student["retention"] < student["retention_high"] < 100
    assert (teacher["difference"], teacher["retention"], teacher["p_value"]) == (0, 100, None)
    json.dumps(comparison, allow_nan=False)


def test_without_a_teacher_nothing_is_compared():
    comparison = compare_systems("en-de", SEGMENTS, {"A": rows(STUDENT)}, ["chrf"])
    student = comparison["systems"]["A"]["chrf"]
    assert student["low"] < student["score"] < student["high"]
    assert {student[key] for key in ("difference", "p_value", "retention")} == {None}
    assert set(student["by_talk"].values()) == {None}  # one talk


def test_intervals_over_talks():
    segments = [row | {"talk": f"talk {i // 5}"} for i, row in enumerate(SEGMENTS)]
    systems = {"teacher": rows(TEACHER), "A": rows(STUDENT)}
    by_segment, by_talk = (
        compare_systems("en-de", manifest, systems, ["chrf"]) for manifest in (SEGMENTS, segments)
    )
    assert (by_segment["talks"], by_talk["talks"]) == (1, 6)
    student = by_talk["systems"]["A"]["chrf"]
    ends = student.pop("by_talk")
    # The student is worse in two of six talks: some draws hold none of them, so it loses nothing.
    assert ends["retention_low"] < student["retention"] < ends["retention_high"]
    assert ends["retention_high"] == pytest.approx(100)
    teacher = by_talk["systems"]["teacher"]["chrf"]["by_talk"]
    assert (teacher["retention_low"], teacher["difference_high"]) == (100, 0)
    one_talk = by_segment["systems"]["A"]["chrf"]
    assert set(one_talk.pop("by_talk").values()) == {None}
    assert one_talk == pytest.approx(student)


def test_segment_scores_are_averaged_on_the_same_draws():
    values = [i / 30 for i in range(30)]
    teacher = SegmentScores("teacher", "comet", [0.5] * 30, "comet|v")
    student = SegmentScores("A", "comet", values, "comet|v")
    systems = {"teacher": rows(TEACHER), "A": rows(STUDENT)}
    comparison = compare_systems("en-de", SEGMENTS, systems, ["chrf"], [teacher, student])
    comet = comparison["systems"]["A"]["comet"]
    assert comet["score"] == pytest.approx(29 / 60)
    assert comet["retention"] == pytest.approx(100 * 29 / 30)
    # The standard error of a mean of 30 of these is 0.0526; its interval is 1.96 of it either way.
    assert comet["high"] - comet["low"] == pytest.approx(2 * 1.96 * 0.0526, rel=0.1)
    assert comparison["signatures"]["comet"] == "comet|v"


def test_a_negative_score_gives_no_percentage():
    times = draw(10, 20)
    values = {"teacher": [-0.2, 0.1], "A": [0.3, 0.1]}
    scores = {name: mean_scores(pair * 5, times) for name, pair in values.items()}
    student = compare(scores, scores, "teacher")["A"]
    assert student["retention"] is None
    assert student["difference"] == pytest.approx(0.25)


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
def test_a_score_that_is_not_finite_is_refused(bad):
    comet = SegmentScores("A", "comet", [0.5] * 29 + [bad], "")
    with pytest.raises(InputError, match="en-de, A, comet: the score of segment 30 of 30 is"):
        compare_systems("en-de", SEGMENTS, {"A": rows(STUDENT)}, ["chrf"], [comet])


def test_the_system_that_does_not_match_is_named():
    with pytest.raises(InputError, match="en-de, A: hypotheses and manifest do not match"):
        compare_systems("en-de", SEGMENTS, {"A": rows(STUDENT[:-1])}, ["chrf"])


def test_segment_scores_of_another_test_set_are_refused(tmp_path):
    (tmp_path / "comet.jsonl").write_text('{"id": "0", "score": 0.5}\n')
    with pytest.raises(InputError, match="comet.jsonl: its 1 scores are not those of the 30 seg"):
        read_segment_scores(tmp_path / "comet.jsonl", tmp_path / "comet.json", SEGMENTS)


def test_files_of_segment_scores(tmp_path):
    lines = "".join(f'{{"id": "{i}", "score": 0.{i:02d}}}\n' for i in range(30))
    (tmp_path / "comet.jsonl").write_text(lines)
    (tmp_path / "comet.json").write_text('{"system": "A", "metric": "comet", "signature": "v"}')
    comet = read_segment_scores(tmp_path / "comet.jsonl", tmp_path / "comet.json", SEGMENTS)
    assert (comet.system, comet.metric, comet.signature) == ("A", "comet", "v")
    assert comet.scores[:3] == [0, 0.01, 0.02]
