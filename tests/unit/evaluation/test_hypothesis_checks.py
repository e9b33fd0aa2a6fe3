import pytest
from settings import configured

from slimspeech.errors import InputError
from slimspeech.evaluation.hypothesis_checks import CheckSettings, check_hypotheses

GERMAN = "Wir haben das Modell auf einem kleinen Datensatz trainiert und danach ausgewertet."
ENGLISH = "We trained the model on a small data set and evaluated it afterwards."
CHINESE = "我们在一个小数据集上训练了这个模型，然后进行了评估。"


def check(hypothesis, reference=GERMAN, source=ENGLISH, pair="en-de", settings=None):
    segment = {"id": "x", "talk": "t", "source": source, "target": reference}
    row = {"id": "x", "hypothesis": hypothesis}
    return check_hypotheses([row], [segment], pair, settings or configured(CheckSettings))


def suspicious(checks):
    lists = ("empty", "copied_source", "too_long", "too_short", "repetition")
    foreign = {"language"} if checks["language"]["other"] else set()
    return {key for key in lists if checks[key]} | foreign


def test_a_good_translation_is_not_suspicious():
    assert suspicious(check(GERMAN)) == set()
    assert suspicious(check(CHINESE, CHINESE, pair="en-zh")) == set()


@pytest.mark.parametrize(
    "hypothesis, expected",
    [
        ("", {"empty"}),
        (" ", {"empty"}),
        (ENGLISH.upper(), {"copied_source", "language"}),
        (CHINESE, {"too_short", "language"}),
        ("Wir haben.", {"too_short"}),
        (f"{GERMAN} {GERMAN} Und das war noch lange nicht alles.", {"too_long"}),
        ("Wir haben das das das Modell auf einem kleinen Datensatz trainiert.", {"repetition"}),
    ],
)
def test_suspicious_translations(hypothesis, expected):
    assert suspicious(check(hypothesis)) == expected


def test_what_the_reference_does_too_is_not_suspicious():
    assert suspicious(check("Nein, nein, nein, nein.", "Nein, nein, nein, nein.")) == set()
    assert suspicious(check("BERT", "BERT", "BERT")) == set()


def test_short_texts_may_differ_in_length():
    checks = check("Ja, genau.", "Ja.")
    assert checks["too_long"] == []
    assert checks["length_ratio"] == pytest.approx(dict.fromkeys(("low", "median", "high"), 10 / 3))


def test_limits_are_the_settings():
    settings = configured(CheckSettings, length_ratio=1.1, max_repetition=3)
    checks = check(GERMAN + " Ja ja ja ja ja ja.", settings=settings)
    assert [row["id"] for row in checks["too_long"]] == ["x"]
    assert checks["repetition"] == [{"id": "x", "copies": 4}]


def test_the_detected_language_is_named():
    language = check(CHINESE)["language"]
    assert language["other"] == [{"id": "x", "found": "zh"}]
    assert (language["expected"], language["checked"]) == ("de", 1)
    assert language["detector"].startswith("py3langid ")


@pytest.mark.parametrize("text", ["Ja.", "BERT, GPT-3", "12345"])
def test_too_short_a_text_is_of_no_certain_language(text):
    assert check(text)["language"]["checked"] == 0


def test_a_language_unknown_to_the_detector_is_not_checked():
    language = check("mfa wo ho kyɛ me", "mfa wo ho kyɛ me", pair="en-twi")["language"]
    assert (language["detector"], language["checked"], language["other"]) == (None, 0, [])


def test_nothing_to_check():
    with pytest.raises(InputError, match="no segments"):
        check_hypotheses([], [], "en-de", configured(CheckSettings))
