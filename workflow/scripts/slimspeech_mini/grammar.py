"""Endless, reproducible sentences for the mini corpus, in English, German and Chinese."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, islice

from slimspeech_mini import everyday, lexicon
from slimspeech_mini import talk as talks
from slimspeech_mini.phrases import Draw

MIN_WORDS, MAX_WORDS, MAX_CHARACTERS = 5, 16, 95
_PATTERNS = {"talk": talks.PATTERNS, "everyday": everyday.PATTERNS}


@dataclass(frozen=True)
class Sentence:
    """English source, targets by language ("de", "zh"), and the name of the sentence pattern."""

    source: str
    targets: dict[str, str]
    pattern: str


def sentences(
    domain: str, seed: int, *, terms: bool = True, terminology: bool = False
) -> Iterator[Sentence]:
    """An endless stream of sentences of `domain` ("talk" or "everyday"); no source occurs twice.

    The same arguments give the same sentences on every platform. terms: with technical terms.
    terminology: the same sources with targets in the archive's terminology.
    """
    draw = Draw(lexicon.load(domain, terms, terminology), random.Random(f"{domain}-{seed}"))
    patterns, weights = zip(*_PATTERNS[domain], strict=True)
    bounds = list(accumulate(weights))
    seen = set()
    while True:
        point = draw.rng.randrange(bounds[-1])
        pattern = next(p for p, bound in zip(patterns, bounds, strict=True) if point < bound)
        sentence = _sentence(pattern, draw)
        if sentence and sentence.source not in seen:
            seen.add(sentence.source)
            yield sentence


def talk(seed: int, count: int, forbidden: set[str]) -> list[Sentence]:
    """A talk of `count` sentences: greeting, body, thank-you; none is in `forbidden`.

    Translated with the archive's terminology.
    """
    draw = Draw(lexicon.load("talk", terminology=True), random.Random(f"a talk-{seed}"))
    greeting, thanks = (
        _new(pattern, draw, forbidden) for pattern in (talks.greeting, talks.thanks)
    )
    body = (
        s
        for s in sentences("talk", seed, terminology=True)
        if s.source not in forbidden and s.pattern not in ("greeting", "thanks")
    )
    return [greeting, *islice(body, count - 2), thanks]


def _new(pattern, draw: Draw, forbidden: set[str]) -> Sentence:
    while True:
        sentence = _sentence(pattern, draw)
        if sentence and sentence.source not in forbidden:
            return sentence


def _sentence(pattern, draw: Draw) -> Sentence | None:
    """A random sentence of the pattern, or None if it is too short or too long."""
    en, de, zh = pattern(draw)
    if not MIN_WORDS <= len(en.split()) <= MAX_WORDS or len(en) > MAX_CHARACTERS:
        return None
    return Sentence(_capital(en), {"de": _capital(de), "zh": zh}, pattern.__name__)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
