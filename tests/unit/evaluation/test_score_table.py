import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.score_table import markdown, tabulate
from slimspeech.formatting import decimal_units


def scores(system, pair="en-de", chrf=40.0, chrfpp=38.0, segments=184):
    metrics = {
        "bleu": {"score": 12.345, "signature": "nrefs:1|tok:13a"},
        "chrf": {"score": chrf, "signature": "nrefs:1|nw:0"},
        "chrf++": {"score": chrfpp, "signature": "nrefs:1|nw:2"},
    }
    return {"pair": pair, "system": system, "segments": segments, "metrics": metrics}


def size(layers=32, weights=8_397_094_912, size=16_794_189_824):
    return {"weights": weights, "decoder_layers": layers, "bytes": size, "quantization": "none"}


def translation(seconds=30.0, device="cpu"):
    return {
        "seconds": seconds,
        "audio_seconds": 1200.0,
        "clips": 184,
        "batch_size": 4,
        "device": device,
        "dtype": "bfloat16",
    }


def german(**changes):
    """Base, teacher and a student of the sizes in the IWSLT 2025 paper."""
    return tabulate(
        [
            scores("base", chrfpp=20.0),
            scores("teacher", chrfpp=40.0),
            scores("B", chrfpp=38.0, **changes),
        ],
        [size(), size(), size(24, 6_778_000_000, 5_410_000_000)],
        [translation(), translation(), translation(36.0)],
    )


def test_student_against_base_and_teacher():
    base, teacher, student = german()
    assert (base["percent_of_base"], teacher["percent_of_teacher"]) == (100, 100)
    assert base["percent_of_teacher"] == 50
    assert student["percent_of_base"] == pytest.approx(32.2, abs=0.05)
    assert student["percent_of_teacher"] == pytest.approx(95)
    assert student["seconds_per_audio_second"] == pytest.approx(0.03)


def test_chinese_is_compared_by_chrf_within_its_own_pair():
    rows = tabulate(
        [
            scores("teacher", chrfpp=10.0),
            scores("teacher", "en-zh", chrf=30.0),
            scores("B", "en-zh", chrf=27.0),
        ],
        [size()] * 3,
        [translation()] * 3,
    )
    assert [row["percent_of_teacher"] for row in rows] == [100, 100, pytest.approx(90)]


def test_without_base_and_teacher_nothing_is_compared():
    [row] = tabulate([scores("B")], [size()], [translation()])
    assert row["percent_of_base"] is None
    assert row["percent_of_teacher"] is None
    assert "| B      |" in markdown([row], {})
    assert " - |" in markdown([row], {})


def test_a_teacher_with_score_0_gives_no_percentage():
    rows = tabulate([scores("teacher", chrfpp=0.0)], [size()], [translation()])
    assert rows[0]["percent_of_teacher"] is None


def test_systems_of_a_pair_share_the_test_set():
    with pytest.raises(InputError, match="base 184, teacher 184, B 100"):
        german(segments=100)


@pytest.mark.parametrize(
    "number, expected",
    [
        (8_397_094_912, "8.40 B"),
        (6_778_000_000, "6.78 B"),
        (4_210_000, "4.21 M"),
        (623_400_000, "623 M"),
        (950, "950"),
        (2_500_000_000_000, "2500 B"),
    ],
)
def test_counts_are_written_in_thousands(number, expected):
    assert decimal_units(number, ["", "K", "M", "B"]) == expected


def test_a_language_of_the_config_has_its_name():
    rows = [row | {"pair": "en-eo"} for row in german()]
    assert "## English to Esperanto (en-eo), 184 segments" in markdown(rows, {"eo": "Esperanto"})
    assert "## English to eo (en-eo), 184 segments" in markdown(rows, {})


def test_the_table_is_aligned():
    lines = markdown(german(), {}).splitlines()
    assert "## English to German (en-de), 184 segments" in lines
    table = [line for line in lines if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in table[2:]] == ["base", "teacher", "B"]
    assert len({len(line) for line in table}) == 1
    assert [cell.strip() for cell in table[4].strip("|").split("|")] == [
        "B",
        "24",
        "6.78 B",
        "5.41 GB",
        "32.2",
        "12.3",
        "40.0",
        "38.0",
        "95.0",
        "-",
        "0.030",
    ]


def test_footnotes_say_how_it_was_measured():
    text = markdown(german(), {})
    assert "on cpu, batch size 4, bfloat16." in text
    assert "% of teacher: by chrF++, with" in text
    assert text.count("- chrF++: `nrefs:1|nw:2`") == 1


def comparison(**by_talk):
    """As compare_systems gives it, of a student that keeps 95 (93 to 97) percent."""
    student = {"score": 38.0, "retention_low": 93.04, "retention_high": 97.0, "p_value": 0.0042}
    student |= {"sacrebleu_p_value": 0.0021, "by_talk": by_talk}
    teacher = {"score": 40.0, "retention_low": 100.0, "retention_high": 100.0, "p_value": None}
    teacher |= {"by_talk": dict.fromkeys(by_talk, 100.0)}
    return {
        "pair": "en-de",
        "systems": {
            "teacher": {"chrf++": teacher},
            "B": {"chrf++": student},
        },
    }


def compared(segments=184, **by_talk):
    scored = [scores(n, chrfpp=p, segments=segments) for n, p in (("teacher", 40.0), ("B", 38.0))]
    comparisons = [comparison(**by_talk)] if segments > 9 else []
    return tabulate(scored, [size()] * 2, [translation()] * 2, comparisons=comparisons)


def test_the_percentage_of_the_teacher_has_its_interval():
    rows = compared()
    student = rows[1]
    assert (student["percent_of_teacher_low"], student["percent_of_teacher_high"]) == (93.04, 97)
    assert (student["p_value"], student["sacrebleu_p_value"]) == (0.0042, 0.0021)
    text = markdown(rows, {})
    teacher, student = ([c.strip() for c in x.split("|")] for x in text.splitlines()[6:8])
    assert teacher[6:11] == ["12.3", "40.0", "40.0", "100.0", "-"]
    assert student[6:11] == ["12.3", "40.0", "38.0", "95.0 [93.0, 97.0]", "0.004"]
    assert "fewer than 5 talks" in text


def test_the_interval_over_talks_has_its_column():
    rows = compared(retention_low=91.0, retention_high=99.96)
    student = rows[1]
    assert student["percent_of_teacher_by_talk_low"] == 91
    assert student["percent_of_teacher_by_talk_high"] == 99.96
    text = markdown(rows, {})
    teacher, student = ([c.strip() for c in x.split("|")] for x in text.splitlines()[6:8])
    assert teacher[9:12] == ["100.0", "-", "-"]
    assert student[9:12] == ["95.0 [93.0, 97.0]", "[91.0, 100.0]", "0.004"]
    assert "fewer than 5 talks" not in text


def test_a_handful_of_segments_gives_no_verdict():
    text = markdown(compared(segments=9), {})
    assert "Fewer than 10 segments" in text and "bootstrap" not in text
    rule = text.splitlines()[5]
    assert all(len(cell.strip()) >= 2 for cell in rule.strip("|").split("|"))  # Markdown's least


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match=r"en-de, B: chrf\+\+ is nan"):
        tabulate([scores("B", chrfpp=float("nan"))], [size()], [translation()])


def test_footnotes_tell_devices_apart():
    rows = tabulate(
        [scores("teacher"), scores("B")],
        [size()] * 2,
        [translation(device="NVIDIA H200"), translation()],
    )
    text = markdown(rows, {})
    assert "NVIDIA H200, batch size 4, bfloat16 (teacher); cpu, batch size 4, bfloat16 (B)" in text


def comet(system, score=0.81234, segments=184):
    signature = "nrefs:1|model:Unbabel/wmt22-comet-da"
    row = {"pair": "en-de", "system": system, "metric": "comet22", "segments": segments}
    return row | {"score": score, "signature": signature}


def test_comet_has_its_own_column():
    systems = ["teacher", "B"]
    rows = tabulate(
        [scores(system) for system in systems],
        [size()] * 2,
        [translation()] * 2,
        [comet("B", -0.5), comet("teacher")],
    )
    assert [row["comet22"] for row in rows] == [0.81234, -0.5]
    assert [row["percent_of_teacher"] for row in rows] == [100, 100]
    text = markdown(rows, {})
    assert "| chrF++ | comet22 |" in text
    assert "| 0.8123 |" in text.replace("  ", " ") and "-0.5000 |" in text
    assert text.count("- comet22: `nrefs:1|model:Unbabel/wmt22-comet-da`") == 1


def test_comet_of_other_segments_is_refused():
    with pytest.raises(InputError, match="en-de, B: comet22 is of 100 segments, but the other"):
        tabulate([scores("B")], [size()], [translation()], [comet("B", segments=100)])
