import pytest
from settings import configured

from slimspeech.errors import InputError
from slimspeech.training.distillation import DistillationSettings, build, mix

AS_PUBLISHED = configured(DistillationSettings)


def segment(key, target="Guten Tag."):
    return {
        "id": key,
        "talk": "1",
        "audio": f"{key}.wav",
        "duration": 2.0,
        "source": "Hello.",
        "target": target,
        "pair": "en-de",
        "origin": "gold",
        "corpus": "acl6060",
    }


def counts(hypothesis, gold, settings, language="de"):
    translations = [{"id": "a", "hypothesis": hypothesis}]
    return build([segment("a", gold)], translations, settings, language)[1]


def test_a_pseudo_label_is_the_gold_row_with_another_target():
    gold = segment("dev-1")
    rows, _ = build([gold], [{"id": "dev-1", "hypothesis": " Hallo. \n"}], AS_PUBLISHED, "de")
    expected = {**gold, "id": "dev-1.distilled", "target": "Hallo.", "origin": "distilled"}
    assert rows == [expected]
    assert list(rows[0]) == list(gold)


# The set sizes of the IWSLT 2025 paper: 784 segments, of which 0 (German) and 499 (Chinese)
# were translated exactly as in gold.
@pytest.mark.parametrize("duplicates, total", [(0, 1568), (499, 1069)])
def test_exact_duplicates_are_dropped(duplicates, total):
    gold = [segment(f"s{n}", f"Satz {n}") for n in range(784)]
    translations = [
        {"id": f"s{n}", "hypothesis": f" Satz {n} " if n < duplicates else f"Aussage {n}"}
        for n in range(784)
    ]
    rows, summary = build(gold, translations, AS_PUBLISHED, "de")
    assert summary["duplicates"] == duplicates
    assert summary["kept"] == len(rows) == 784 - duplicates
    assert summary["total"] == total


def test_a_copy_of_another_segments_target_is_kept():
    gold = [segment("a", "eins"), segment("b", "zwei")]
    swapped = [{"id": "a", "hypothesis": "zwei"}, {"id": "b", "hypothesis": "eins"}]
    assert build(gold, swapped, AS_PUBLISHED, "de")[1]["kept"] == 2


def test_empty_translations_are_dropped():
    assert counts(" \n", "Guten Tag.", AS_PUBLISHED)["empty"] == 1


def test_translations_must_cover_gold():
    with pytest.raises(InputError, match="without a hypothesis"):
        build([segment("a"), segment("b")], [{"id": "a", "hypothesis": "x"}], AS_PUBLISHED, "de")


@pytest.mark.parametrize("hypothesis, dropped", [("x" * 20, 0), ("x" * 21, 1), ("xxxx", 1)])
def test_length_ratio_works_both_ways(hypothesis, dropped):
    summary = counts(hypothesis, "abcdefghij", configured(DistillationSettings, length_ratio=2))
    assert summary["length_ratio"] == dropped
    assert summary["kept"] == 1 - dropped


@pytest.mark.parametrize(
    "hypothesis, language, dropped",
    [
        ("ja ja ja", "de", 0),
        ("ja ja ja ja", "de", 1),
        ("wir sehen das wir sehen das wir sehen das", "de", 0),
        ("und wir sehen das wir sehen das wir sehen das wir sehen das", "de", 1),
        ("ja so ja nun ja also ja", "de", 0),
        ("jajajaja", "de", 0),
        ("我们我们我们", "zh", 0),
        ("我们我们我们我们", "zh", 1),
        ("共有 100000 个", "zh", 0),
    ],
)
def test_loops_of_the_teacher_are_dropped(hypothesis, language, dropped):
    summary = counts(
        hypothesis, "gold", configured(DistillationSettings, max_repetition=3), language
    )
    assert summary["max_repetition"] == dropped


def test_chrf_against_gold_has_a_floor():
    # chrF++ of "the cat" against "the dog" is 20.625, chrF 19.17 (see test_metrics).
    assert (
        counts("the cat", "the dog", configured(DistillationSettings, min_chrf=20), "de")["kept"]
        == 1
    )
    assert (
        counts("the cat", "the dog", configured(DistillationSettings, min_chrf=20), "zh")[
            "min_chrf"
        ]
        == 1
    )
    assert (
        counts("the cat", "the dog", configured(DistillationSettings, min_chrf=21), "de")[
            "min_chrf"
        ]
        == 1
    )


def test_every_row_is_counted_once():
    hypotheses = ["", "gold", "x" * 99, "nein nein", "abcd", "golden"]
    summary = build(
        [segment(f"s{n}", "gold") for n in range(6)],
        [{"id": f"s{n}", "hypothesis": text} for n, text in enumerate(hypotheses)],
        configured(DistillationSettings, length_ratio=3, max_repetition=1, min_chrf=30),
        "de",
    )[1]
    assert summary == {
        "gold": 6,
        "translated": 6,
        "empty": 1,
        "duplicates": 1,
        "length_ratio": 1,
        "max_repetition": 1,
        "min_chrf": 1,
        "kept": 1,
        "total": 7,
    }


def test_mix_repeats_and_names_copies():
    sources = {
        "out_of_domain": [{"id": "c"}],
        "distilled": [{"id": "a.distilled"}, {"id": "b.distilled"}],
        "gold": [{"id": "a"}],
    }
    rows = mix(sources, {"out_of_domain": 0, "distilled": 3, "gold": 1})
    assert [row["id"] for row in rows] == [
        "a",
        "a.distilled",
        "b.distilled",
        "a.distilled#2",
        "b.distilled#2",
        "a.distilled#3",
        "b.distilled#3",
    ]
    assert sources["distilled"][0]["id"] == "a.distilled"


@pytest.mark.parametrize(
    "factors, message",
    [
        ({"silver": 1}, "unknown origin 'silver'"),
        ({"gold": 1, "distilled": 10}, "takes distilled, but there is no such manifest"),
        ({"gold": 0.5}, "whole number"),
        ({"gold": -1}, "whole number"),
        ({"gold": 0, "distilled": 0}, "no rows"),
    ],
)
def test_a_mix_that_cannot_be_made(factors, message):
    with pytest.raises(InputError, match=message):
        mix({"gold": [{"id": "a"}]}, factors)
