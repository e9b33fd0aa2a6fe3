"""An engine's words beside our own, and what stops a run."""

import pytest

from slimspeech.engines.chat import Answer
from slimspeech.errors import InputError
from slimspeech.evaluation.parity import compare_words, describe, require_parity

TEXTS = [
    *("Guten Tag zusammen.", "Das Haus ist klein.", "Vielen Dank.", "Wir sehen uns morgen."),
    *("Eins und zwei.", "Drei und vier.", "Im Herbst regnet es.", "Der Zug kommt."),
    *("Wer ist das?", "Niemand weiß es.", "Es wird hell.", "Gute Nacht."),
]
SEGMENTS = [{"id": str(n), "target": text} for n, text in enumerate(TEXTS)]
PROMPTS = [{"tokens": [1, 9, 9, n]} for n in range(12)]
RAN = {"engine": "vLLM", "version": "0.32.0", "device": "CPU", "dtype": "float32", "form": "int8"}


def rows(texts: list[str]) -> list[dict]:
    return [{"id": str(n), "hypothesis": text} for n, text in enumerate(texts)]


def compared(texts: list[str], prompts=PROMPTS, cut=()) -> dict:
    answers = [
        Answer(text, n in cut, row["tokens"] if row else None)
        for n, (text, row) in enumerate(zip(texts, prompts, strict=True))
    ]
    return RAN | compare_words("en-de", SEGMENTS, rows(TEXTS), rows(texts), answers, PROMPTS)


def test_the_same_words_pass():
    parity = compared(TEXTS)
    require_parity(parity, threshold=0)
    assert parity["equal"] == parity["clips"] == 12
    assert parity["own_score"] == parity["engine_score"] == 100
    assert (parity["difference"], parity["other_prompts"], parity["cut"]) == (0, 0, 0)
    assert describe(parity) == (
        "vLLM 0.32.0 (CPU, float32), int8: 12 of 12 equal, chrF++ +0.0 [+0.0, +0.0]"
    )


def test_a_loss_up_to_the_threshold_passes():
    parity = compared(["Guten Tag zusammen!", *TEXTS[1:]])
    assert parity["equal"] == 11
    assert parity["difference_low"] <= parity["difference"] < 0
    require_parity(parity, threshold=-parity["difference"] + 0.01)
    with pytest.raises(InputError, match=r"11 of 12 equal.* serving\.threshold"):
        require_parity(parity, threshold=-parity["difference"] - 0.01)


def test_other_prompts_stop_the_run_whatever_the_words():
    """A prompt in another order, or of another tokenizer."""
    swapped = [{"tokens": row["tokens"][::-1]} for row in PROMPTS[:1]] + PROMPTS[1:]
    parity = compared(TEXTS, swapped)
    with pytest.raises(InputError, match="other prompts of 1 clips"):
        require_parity(parity, threshold=100)


def test_an_engine_that_hides_its_prompts_is_judged_by_its_words():
    parity = compared(TEXTS, [None] * 12)
    assert parity["other_prompts"] is None
    require_parity(parity, threshold=0)


def test_translations_that_did_not_end_are_counted():
    """As after a lost end token: the words run on to the limit."""
    parity = compared([f"{text} {text} {text}" for text in TEXTS], cut=set(range(12)))
    with pytest.raises(InputError, match="12 cut at the limit"):
        require_parity(parity, threshold=5)


def test_few_segments_have_no_interval():
    few = rows(TEXTS[:3])
    answers = [Answer(text, False, None) for text in TEXTS[:3]]
    parity = RAN | compare_words("en-de", SEGMENTS[:3], few, few, answers, PROMPTS[:3])
    assert describe(parity).endswith("3 of 3 equal, chrF++ +0.0")
