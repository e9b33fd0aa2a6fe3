"""Translations as text, subtitles or data, written utterance by utterance.

An utterance becomes subtitles of readable size. Its text is broken at the end of a sentence if
possible, else after a comma, else between words, into parts of similar length. Each subtitle is
shown for its share of the utterance's time.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TextIO

import regex  # re knows no scripts and no grapheme clusters

from slimspeech.errors import InputError
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "jsonl")
# The usual limits of broadcasters and streaming services, in characters per line.
LINE_WIDTH, LINE_WIDTH_WITHOUT_SPACES = 42, 16
LINE_COUNT = 2
SENTENCE_END = re.compile(r"[.?!。？！…။។།][\"'”’»)）」』]*$")
CLAUSE_END = re.compile(r"[,;:，、；：–—၊][\"'”’»)）」』]*$")
# In languages without spaces: characters that must not begin a line, and that must not end one.
CLOSING = "，。、；：？！”’）」』》】…%％‰・ー々,.;:?!)ะาๅๆฯະາໆຯ၊။។៕ៗ་།༎\u200b"
# Signs that put the next consonant under the last, in Burmese, Khmer, Tai Tham and others.
STACKERS = r"\u1039\u17d2\u1a60\u1bab\uaaf6\U00011133"
# What a reader takes for one character: a grapheme cluster, with the vowels of Thai and Lao before
# it, and with the signs of Burmese and the stacked consonants that Unicode's clusters leave out.
CHARACTER = rf"(?:[\u0e40-\u0e44\u0ec0-\u0ec4]*\X(?:(?=\p{{M}})\X|(?<=[{STACKERS}])(?=\p{{L}})\X)*)"
# What stays whole, with the space before it: Latin words and numbers, Tibetan syllables, and of any
# other text a character.
PIECE = regex.compile(
    rf"\s?(?=[\p{{Latin}}\p{{Nd}}]){CHARACTER}(?:(?=[\p{{Latin}}\p{{Nd}}'’.+\-]){CHARACTER})*"
    rf"(?<=[\p{{Latin}}\p{{Nd}}]\p{{M}}*)"
    rf"|\s?(?:(?=\p{{Tibetan}})(?=\p{{L}}){CHARACTER})+"
    rf"|\s?{CHARACTER}"
)
OPENING = "“‘（「『《【("
# Costs of a break; another subtitle or line costs 1.
WITHIN_SENTENCE, WITHIN_CLAUSE, UNEVEN = 0.3, 0.4, 0.5


@dataclass(frozen=True)
class Utterance:
    """The translation of second `start` to `end` of the talk; it may be empty."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Layout:
    """Characters per line and lines per subtitle, at most. spaces: words are separated by them."""

    width: int = LINE_WIDTH
    lines: int = LINE_COUNT
    spaces: bool = True

    def __post_init__(self):
        if self.width < 4:
            raise InputError(f"a line of {self.width} characters is too short; give 4 or more")

    @classmethod
    def of(cls, language: str, width: int | None = None, lines: int | None = None) -> "Layout":
        """The usual layout of a language; a given width or number of lines replaces the usual."""
        spaces = language not in WRITTEN_WITHOUT_SPACES
        usual = LINE_WIDTH if spaces else LINE_WIDTH_WITHOUT_SPACES
        return cls(width or usual, lines or LINE_COUNT, spaces)


@dataclass(frozen=True)
class Cue:
    """A subtitle: seconds from the start of the talk, and its lines."""

    start: float
    end: float
    lines: tuple[str, ...]


class Writer:
    """Writes one talk to an open text file: add() each utterance, then finish() once.

    form: one of FORMATS. layout: of subtitles. pair: names the languages in json.
    """

    def __init__(self, form: str, file: TextIO, layout: Layout, pair: str):
        self.form = form
        self.file = file
        self.layout = layout
        self.pair = pair
        self.count = 0  # of utterances
        self._cue_count = 0
        self._rows: list[dict[str, Any]] = []  # json is one object, so finish() writes it
        if form == "vtt":
            file.write("WEBVTT\n\n")
        elif form == "tsv":
            file.write("start\tend\ttext\n")

    def add(self, utterance: Utterance) -> None:
        """Only jsonl and json contain utterances without text."""
        self.count += 1
        start, end, text = utterance.start, utterance.end, utterance.text
        row = {"start": round(start, 3), "end": round(end, 3), "text": text}
        if self.form == "json":
            self._rows.append({"id": len(self._rows), **row})
        elif self.form == "jsonl":
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        elif self.form in ("srt", "vtt"):
            for cue in cues(start, end, text, self.layout):
                self._cue_count += 1
                self.file.write(_subtitle(cue, self._cue_count, self.form))
        elif text and self.form == "txt":
            self.file.write(text + "\n")
        elif text:
            self.file.write(
                f"{round(1000 * start)}\t{round(1000 * end)}\t{' '.join(text.split())}\n"
            )

    def finish(self) -> None:
        if self.form == "json":
            source, target = self.pair.split("-", 1)
            separator = " " if self.layout.spaces else ""
            talk = {
                "text": separator.join(row["text"] for row in self._rows if row["text"]),
                "source": source,
                "language": target,
                "segments": self._rows,
            }
            self.file.write(json.dumps(talk, ensure_ascii=False, indent=2) + "\n")
        self.file.flush()


def timestamp(seconds: float, separator: str = ",") -> str:
    """ "01:02:03,450"; SRT has a comma before the milliseconds, VTT a full stop."""
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{separator}{milliseconds:03d}"


def _subtitle(cue: Cue, number: int, form: str) -> str:
    separator, text = ",", "\n".join(cue.lines)
    if form == "vtt":
        separator = "."
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("-->", "->")  # a player would read it as times
    start, end = timestamp(cue.start, separator), timestamp(cue.end, separator)
    return f"{number}\n{start} --> {end}\n{text}\n\n"


def cues(start: float, end: float, text: str, layout: Layout) -> list[Cue]:
    """The subtitles of one utterance, without gaps between them; none if the text is empty."""
    pieces = tokens(text, layout)
    if not pieces:
        return []

    def fits(first: int, last: int) -> bool:
        return len(_fill(pieces[first:last], layout)) <= layout.lines

    groups = _split(pieces, fits, layout.width * layout.lines)
    texts = [tuple(wrap(group, layout)) for group in groups]
    ends = list(accumulate(sum(map(len, lines)) for lines in texts))
    times = [start, *(start + (end - start) * length / ends[-1] for length in ends)]
    return [Cue(times[i], times[i + 1], lines) for i, lines in enumerate(texts)]


def tokens(text: str, layout: Layout) -> list[str]:
    """Pieces that no break divides: words, each with the space before it, or characters with their
    punctuation. A piece longer than a line is divided between characters, such as a letter with
    its vowel sign, or an emoji of several code points."""
    words = text.split()
    if layout.spaces:
        words = [part for word in words for part in _chop(word, layout.width)]
        return [words[0], *(f" {word}" for word in words[1:])] if words else []
    pieces: list[str] = []
    for piece in PIECE.findall(" ".join(words)):
        joined = pieces and (piece[0] in CLOSING or pieces[-1][-1] in OPENING)
        if joined and len(pieces[-1] + piece) <= layout.width:
            pieces[-1] += piece
        else:
            pieces += _chop(piece, layout.width)
    return pieces


def wrap(pieces: Sequence[str], layout: Layout) -> list[str]:
    """As few lines as hold the pieces, of similar length."""

    def fits(first: int, last: int) -> bool:
        return len("".join(pieces[first:last]).strip()) <= layout.width

    filled = _fill(pieces, layout)
    groups = _split(pieces, fits, -(-len("".join(pieces)) // len(filled)))
    if len(groups) > len(filled):
        return filled
    return ["".join(group).strip() for group in groups]


def _fill(pieces: Sequence[str], layout: Layout) -> list[str]:
    """The fewest lines: each is filled before the next begins."""
    lines = [""]
    for piece in pieces:
        if lines[-1] and len((lines[-1] + piece).strip()) > layout.width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _split(
    pieces: Sequence[str], fits: Callable[[int, int], bool], room: int
) -> list[Sequence[str]]:
    """Groups of pieces that fit, at the lowest cost: few groups, good breaks, evenly filled.

    room: the characters of a full group.
    """
    count = len(pieces)
    costs = [0.0] * (count + 1)  # the lowest cost from a piece to the end
    ends = [count] * count  # the end of the group that begins with a piece
    for first in reversed(range(count)):
        costs[first] = float("inf")
        for last in range(first + 1, count + 1):
            if not fits(first, last) and last > first + 1:
                break
            emptiness = 1 - min(1.0, len("".join(pieces[first:last]).strip()) / room)
            cost = 1 + UNEVEN * emptiness**2 + costs[last]
            if last < count:
                cost += _break_cost(pieces[last - 1])
            if cost < costs[first]:
                costs[first], ends[first] = cost, last
    groups, first = [], 0
    while first < count:
        groups.append(pieces[first : ends[first]])
        first = ends[first]
    return groups


def _break_cost(piece: str) -> float:
    if SENTENCE_END.search(piece):
        return 0.0
    return WITHIN_SENTENCE + (0.0 if CLAUSE_END.search(piece) else WITHIN_CLAUSE)


def _chop(word: str, width: int) -> list[str]:
    """Parts of at most `width` code points, more only where one character has more."""
    parts = [""]
    for character in regex.findall(CHARACTER, word):
        if parts[-1] and len(parts[-1] + character) > width:
            parts.append("")
        parts[-1] += character
    return parts
