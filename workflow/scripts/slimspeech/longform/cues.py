"""Cut a translated utterance into subtitles of a size that can be read.

The text is broken where a reader expects it: at the end of a sentence, else behind a comma, else
between words, and evenly. Each subtitle is shown for its share of the utterance's time.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from slimspeech.errors import InputError
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

# What broadcasters and streaming services take, in characters to a line.
LINE_WIDTH, LINE_WIDTH_WITHOUT_SPACES = 42, 16
LINE_COUNT = 2
SENTENCE_END = re.compile(r"[.?!。？！…][\"'”’»)）」』]*$")
CLAUSE_END = re.compile(r"[,;:，、；：–—][\"'”’»)）」』]*$")
# What must not begin a line, and what must not end one, in languages without spaces.
CLOSING = "，。、；：？！”’）」』》】…%％‰・ー々,.;:?!)"
OPENING = "“‘（「『《【("
# What a break costs, beside the 1 of another subtitle or line.
WITHIN_SENTENCE, WITHIN_CLAUSE, UNEVEN = 0.3, 0.4, 0.5


@dataclass(frozen=True)
class Layout:
    """The most characters in a line, and lines in a subtitle; spaces: whether words have them."""

    width: int = LINE_WIDTH
    lines: int = LINE_COUNT
    spaces: bool = True

    def __post_init__(self):
        if self.width < 4 or self.lines < 1:
            raise InputError(
                f"subtitles of {self.lines} lines of {self.width} characters hold no text; give "
                "4 characters and 1 line or more"
            )

    @classmethod
    def of(cls, language: str, width: int | None = None, lines: int | None = None) -> "Layout":
        """The usual one of a language, but for what is given."""
        spaces = language not in WRITTEN_WITHOUT_SPACES
        usual = LINE_WIDTH if spaces else LINE_WIDTH_WITHOUT_SPACES
        return cls(
            usual if width is None else width, LINE_COUNT if lines is None else lines, spaces
        )


@dataclass(frozen=True)
class Cue:
    """A subtitle: seconds from the start of the talk, and its lines."""

    start: float
    end: float
    lines: tuple[str, ...]


def cues(start: float, end: float, text: str, layout: Layout) -> list[Cue]:
    """The subtitles of one utterance, one after the other without a gap; none if it is empty."""
    pieces = tokens(text, layout)
    if not pieces:
        return []

    def fits(first: int, last: int) -> bool:
        return len(_fill(pieces[first:last], layout)) <= layout.lines

    groups = _split(pieces, fits, layout.width * layout.lines)
    texts = [tuple(wrap(group, layout)) for group in groups]
    ends = list(accumulate(sum(map(len, lines)) for lines in texts))
    times = [start, *(start + (end - start) * reached / ends[-1] for reached in ends)]
    return [Cue(times[i], times[i + 1], lines) for i, lines in enumerate(texts)]


def tokens(text: str, layout: Layout) -> list[str]:
    """What is not broken: words, each with the space before it, or characters with their
    punctuation; what is longer than a line is broken all the same."""
    words = text.split()
    if layout.spaces:
        words = [part for word in words for part in _chopped(word, layout.width)]
        return [words[0], *(f" {word}" for word in words[1:])] if words else []
    found: list[str] = []
    # Latin words and numbers stay whole, with the space before them.
    for piece in re.findall(r"\s?[A-Za-z0-9][A-Za-z0-9'’.+\-]*[A-Za-z0-9]|\s?\S", " ".join(words)):
        glued = found and (piece[0] in CLOSING or found[-1][-1] in OPENING)
        if glued and len(found[-1] + piece) <= layout.width:
            found[-1] += piece
        else:
            found += _chopped(piece, layout.width)
    return found


def wrap(pieces: Sequence[str], layout: Layout) -> list[str]:
    """As few lines as hold the pieces, about equally long."""

    def fits(first: int, last: int) -> bool:
        return len("".join(pieces[first:last]).strip()) <= layout.width

    wanted = len(_fill(pieces, layout))
    groups = _split(pieces, fits, -(-len("".join(pieces)) // wanted))
    if len(groups) > wanted:
        return _fill(pieces, layout)
    return ["".join(group).strip() for group in groups]


def _fill(pieces: Sequence[str], layout: Layout) -> list[str]:
    """Lines filled one after the other, which makes the fewest."""
    lines = [""]
    for piece in pieces:
        if lines[-1] and len((lines[-1] + piece).strip()) > layout.width:
            lines.append("")
        lines[-1] += piece
    return [line.strip() for line in lines]


def _split(
    pieces: Sequence[str], fits: Callable[[int, int], bool], room: int
) -> list[Sequence[str]]:
    """Pieces in groups that fit, at the least cost: few groups, good breaks, evenly filled."""

    count = len(pieces)
    costs = [0.0] * (count + 1)  # the least, from a piece to the end
    ends = [count] * count  # of the group that begins with it
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


def _chopped(word: str, width: int) -> list[str]:
    return [word[i : i + width] for i in range(0, len(word), width)]
