import numpy as np
import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.comparison import compare_systems
from slimspeech.evaluation.seeds import (
    CONTRAST_COLUMNS,
    contrast_seeds,
    score_seeds,
    seeds_markdown,
    summarise_seeds,
)

WORDS = ["wir", "danken", "der", "jury", "und", "allen", "für", "den", "schönen", "abend"]
COUNT = 30


def sentences(seed):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, 8)) for _ in range(COUNT)]


TARGETS = sentences(0)
SEGMENTS = [
    {"id": str(i), "talk": f"talk {i // 5}", "target": text} for i, text in enumerate(TARGETS)
]


def damaged(share, seed):
    """Hypotheses: the targets with each word replaced with this probability."""
    random = np.random.default_rng(seed)
    return [
        {
            "id": str(i),
            "hypothesis": " ".join("x" if random.random() < share else w for w in text.split()),
        }
        for i, text in enumerate(TARGETS)
    ]


TEACHERS = [damaged(0.1, seed) for seed in range(3)]
STUDENTS = [damaged(0.3, seed) for seed in range(10, 13)]


def test_a_single_seed_is_the_comparison_with_the_teacher():
    systems = {"teacher": TEACHERS[0], "A": STUDENTS[0]}
    compared = compare_systems("en-de", SEGMENTS, systems, ["chrf++"])["systems"]["A"]["chrf++"]
    of_seeds = {name: [rows] for name, rows in systems.items()}
    _, student = summarise_seeds(score_seeds("en-de", SEGMENTS, of_seeds))
    assert (student["seeds"], student["score_sd"], student["metric"]) == (1, None, "chrf++")
    assert student["score"] == pytest.approx(compared["score"])
    for end in ("", "_low", "_high"):
        expected = compared[f"retention{end}"]
        assert student[f"percent_of_teacher{end}"] == pytest.approx(expected)
    for end in ("low", "high"):
        expected = compared["by_talk"][f"retention_{end}"]
        assert student[f"percent_of_teacher_by_talk_{end}"] == pytest.approx(expected)


def test_means_and_spread_are_those_of_the_seeds():
    each = [
        compare_systems("en-de", SEGMENTS, {"teacher": teacher, "A": student}, ["chrf++"])
        for teacher, student in zip(TEACHERS, STUDENTS, strict=True)
    ]
    scores = [seed["systems"]["A"]["chrf++"]["score"] for seed in each]
    kept = [seed["systems"]["A"]["chrf++"]["retention"] for seed in each]
    teacher, student = summarise_seeds(
        score_seeds("en-de", SEGMENTS, {"teacher": TEACHERS, "A": STUDENTS})
    )
    assert (student["seeds"], student["pair"], student["system"]) == (3, "en-de", "A")
    assert student["score"] == pytest.approx(np.mean(scores))
    assert student["score_sd"] == pytest.approx(np.std(scores, ddof=1))
    assert student["percent_of_teacher"] == pytest.approx(np.mean(kept))
    assert student["percent_of_teacher_sd"] == pytest.approx(np.std(kept, ddof=1))
    values = [float(value) for value in student["percent_of_teacher_of_seeds"].split()]
    assert values == pytest.approx(kept)
    assert student["percent_of_teacher_low"] < np.mean(kept) < student["percent_of_teacher_high"]
    assert teacher["percent_of_teacher_low"] == teacher["percent_of_teacher_high"] == 100
    # The interval of a mean of three independent trainings is narrower than that of one.
    one = each[0]["systems"]["A"]["chrf++"]
    widths = [
        row[f"{name}_high"] - row[f"{name}_low"]
        for row, name in ((student, "percent_of_teacher"), (one, "retention"))
    ]
    assert widths[0] < widths[1]


def test_the_same_training_three_times_has_no_spread():
    of_seeds = {"teacher": TEACHERS[:1] * 3, "A": STUDENTS[:1] * 3}
    student = summarise_seeds(score_seeds("en-de", SEGMENTS, of_seeds))[1]
    assert (student["score_sd"], student["percent_of_teacher_sd"]) == pytest.approx((0, 0))


def test_without_a_teacher_there_is_no_percentage():
    [student] = summarise_seeds(score_seeds("en-de", SEGMENTS, {"A": STUDENTS}))
    assert student["score"] > 0
    assert {v for k, v in student.items() if k.startswith("percent_of_teacher")} == {None}
    assert "| A      |" in seeds_markdown([student], [], {})


def test_the_system_that_does_not_match_is_named():
    with pytest.raises(InputError, match="en-de, A: hypotheses and manifest do not match"):
        summarise_seeds(score_seeds("en-de", SEGMENTS, {"A": [STUDENTS[0][:-1]]}))


def test_the_table():
    rows = summarise_seeds(score_seeds("en-de", SEGMENTS, {"teacher": TEACHERS, "A": STUDENTS}))
    rows[1] |= {"score": 51.26, "score_sd": 0.84, "percent_of_teacher": 96.71}
    rows[1] |= {"percent_of_teacher_sd": 1.23, "percent_of_teacher_of_seeds": "95.50 97.00 97.63"}
    rows[1] |= {"percent_of_teacher_low": 94.04, "percent_of_teacher_high": 99.31}
    rows[1] |= {"percent_of_teacher_by_talk_low": None, "percent_of_teacher_by_talk_high": None}
    text = seeds_markdown(rows, [], {})
    assert "## English to German (en-de)" in text
    teacher, student = ([c.strip() for c in x.split("|")][1:-1] for x in text.splitlines()[6:8])
    assert teacher[2:5] == ["100.0 ± 0.0", "-", "-"]
    expected = ["A", "51.3 ± 0.8", "96.7 ± 1.2", "[94.0, 99.3]", "-", "95.5 97.0 97.6"]
    assert student == expected


def test_a_contrast_is_the_difference_of_the_scores():
    results = score_seeds("en-de", SEGMENTS, {"teacher": TEACHERS, "A": STUDENTS, "B": STUDENTS})
    teacher, student, _ = summarise_seeds(results)
    same, less = contrast_seeds(results, [["A", "B"], ["A", "teacher"]])
    assert [same[f"difference{end}"] for end in ("", "_sd", "_low", "_high")] == [0, 0, 0, 0]
    assert tuple(less) == CONTRAST_COLUMNS
    assert less["difference"] == pytest.approx(student["score"] - teacher["score"])
    assert less["difference_low"] < less["difference"] < less["difference_high"] < 0
    text = seeds_markdown([teacher, student], [same, less], {})
    [cells] = [line.split("|")[1:-1] for line in text.splitlines() if "| A - B" in line]
    expected = ["A - B", "+0.00 ± 0.00", "[+0.00, +0.00]", "[+0.00, +0.00]", "+0.00 +0.00 +0.00"]
    assert [cell.strip() for cell in cells] == expected
