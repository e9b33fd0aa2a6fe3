import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation import metrics


def value(hypotheses, references, metric, language="de"):
    return metrics.score(hypotheses, references, language, [metric])[metric]["score"]


# Cases of sacreBLEU's own test suite (test_chrf.py, effective order).
@pytest.mark.parametrize(
    "hypotheses, references, expected",
    [
        (["a", "b"], ["a", "c"], 50.0),
        (["aa"], ["ab"], 25.0),
        (["a b c"], ["abc"], 100.0),
        ([""], ["reference"], 0.0),
    ],
)
def test_chrf_agrees_with_sacrebleu(hypotheses, references, expected):
    assert value(hypotheses, references, "chrf") == pytest.approx(expected, abs=1e-4)


def test_chrf_weighs_recall_twice():
    # Precision 1/1, recall 1/2; F2 = 5PR / (4P + R).
    assert value(["a"], ["ab"], "chrf") == pytest.approx(100 * 2.5 / 4.5)


def test_chrf_with_words_counts_words():
    # "thecat" and "thedog" share 3/6, 2/5, 1/4, 0/3, 0/2, 0/1 n-grams; the words 1/2, 0/1.
    assert value(["the cat"], ["the dog"], "chrf") == pytest.approx(100 * 1.15 / 6)
    assert value(["the cat"], ["the dog"], "chrf++") == pytest.approx(100 * 1.65 / 8)


def test_bleu_of_german_counts_words():
    # Precisions 3/4, 2/3, 1/2, and 0/1 smoothed to 1/2.
    bleu = value(["this is a fest"], ["this is a test"], "bleu")
    assert bleu == pytest.approx(100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)


def test_bleu_of_chinese_counts_characters():
    bleu = value(["今天天气很好"], ["今天天气不好"], "bleu", "zh")
    assert bleu == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)


@pytest.mark.parametrize("metric", metrics.METRICS)
@pytest.mark.parametrize(
    "language, text", [("de", "Guten Tag, liebe Welt."), ("zh", "你好，世界。")]
)
def test_identical_texts_score_100(metric, language, text):
    assert value([text], [text], metric, language) == pytest.approx(100)


@pytest.mark.parametrize(
    "language, tokenizer", [("de", "13a"), ("zh", "zh"), ("ja", "char"), ("ko", "char")]
)
def test_the_signature_names_the_tokenizer(language, tokenizer):
    signature = metrics.score(["a"], ["a"], language, ["bleu"])["bleu"]["signature"]
    assert signature.startswith(f"nrefs:1|case:mixed|eff:no|tok:{tokenizer}|smooth:exp|version:2.")


def test_the_signature_names_the_word_order():
    scores = metrics.score(["a"], ["a"], "de", ["chrf", "chrf++"])
    assert "|nc:6|nw:0|space:no|" in scores["chrf"]["signature"]
    assert "|nc:6|nw:2|space:no|" in scores["chrf++"]["signature"]


@pytest.mark.parametrize(
    "hypotheses, references, names, message",
    [
        (["a"], ["a", "b"], ["chrf"], "1 hypotheses for 2 references"),
        ([], [], ["chrf"], "no segments"),
        (["a"], ["a"], ["meteor"], "unknown metric 'meteor'"),
    ],
)
def test_input_that_cannot_be_scored(hypotheses, references, names, message):
    with pytest.raises(InputError, match=message):
        metrics.score(hypotheses, references, "de", names)


def test_segments_are_scored_one_by_one():
    assert metrics.segment_scores(["aa", "a"], ["ab", "a"], "chrf") == pytest.approx([25, 100])
    with pytest.raises(InputError, match="bleu"):
        metrics.segment_scores(["a"], ["a"], "bleu")


def test_segment_rows_hold_metrics_of_single_segments():
    manifest = [{"id": "dev-1", "talk": "t", "duration": 1.5, "target": "ab"}]
    rows = metrics.segment_rows(manifest, ["aaa"], ["ab"], ["bleu", "chrf"])
    assert list(rows[0]) == [
        "id",
        "talk",
        "duration",
        "hypothesis_length",
        "reference_length",
        "chrf",
    ]
    assert (rows[0]["hypothesis_length"], rows[0]["reference_length"]) == (3, 2)


def test_talks_are_scored_by_themselves():
    manifest = [{"talk": talk} for talk in ("b", "a", "b")]
    talks = metrics.score_talks(manifest, ["ab", "a", "xy"], ["ab", "a", "ab"], "de", ["chrf"])
    assert list(talks) == ["b", "a"]
    assert [talk["segments"] for talk in talks.values()] == [2, 1]
    scores = [talk["metrics"]["chrf"] for talk in talks.values()]
    assert scores == pytest.approx([50, 100])


@pytest.mark.parametrize("row", [{"id": "a"}, {"id": "a", "hypothesis": None}, {"hypothesis": ""}])
def test_a_row_without_a_hypothesis_is_refused(row):
    with pytest.raises(InputError, match="hypotheses, row 1: needs an id and a hypothesis"):
        metrics.align([row], [{"id": "a", "target": ""}])


@pytest.mark.parametrize(
    "language, metric", [("de", "chrf++"), ("ko", "chrf++"), ("zh", "chrf"), ("ja", "chrf")]
)
def test_words_count_where_spaces_mark_them(language, metric):
    assert metrics.search_metric(language) == metric


def test_rows_are_matched_by_id():
    manifest = [{"id": "x", "target": "X"}, {"id": "y", "target": "Y"}]
    rows = [{"id": "y", "hypothesis": "2"}, {"id": "x", "hypothesis": "1"}]
    assert metrics.align(rows, manifest) == (["1", "2"], ["X", "Y"])


@pytest.mark.parametrize(
    "ids, message",
    [
        ("a", r"1 segments without a hypothesis \(b\)"),
        ("abb", r"1 duplicate hypotheses \(b\)"),
        ("abcdefghi", r"7 hypotheses of no segment \(c, d, e, f, g, …\)"),
    ],
)
def test_ids_that_do_not_match_are_named(ids, message):
    manifest = [{"id": "a", "target": ""}, {"id": "b", "target": ""}]
    with pytest.raises(InputError, match=message):
        metrics.align([{"id": key, "hypothesis": ""} for key in ids], manifest)
