"""What every reader of a gold corpus gives, and how it tells what is wrong with the corpus."""

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

NAMED_PROBLEMS = 5
# More than any recording lasts; infinity and what would overflow are above it.
LONGEST_SECONDS = 10**7


@dataclass(frozen=True)
class RawSegment:
    """One segment as a corpus brings it: texts by language code, and a clip not yet looked at.

    The segment is all of `clip`, or from second `start` on for `seconds` (to the end if None).
    `name` stands for it in messages.
    """

    id: str
    talk: str
    split: str
    index: int
    texts: dict[str, str]
    clip: Path
    name: str
    corpus: str
    start: float = 0.0
    seconds: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the segment is all of its clip."""
        return self.start == 0 and self.seconds is None

    @property
    def place(self) -> str:
        """The clip's file name, and where in it the segment begins, for messages."""
        return self.clip.name if self.is_whole else f"{self.clip.name} from {self.start:g} s"


def raise_all(where: str, problems: Sequence[str], fix: str) -> None:
    """Raise one InputError naming the first few problems and counting the rest, if any."""
    if not problems:
        return
    for problem in problems:
        logger.error("%s: %s", where, problem)
    named = "; ".join(problems[:NAMED_PROBLEMS])
    more = len(problems) - NAMED_PROBLEMS
    raise InputError(f"{where}: {named}{f'; and {more} more' if more > 0 else ''}; {fix}")


def read_lines(path: Path, name: str) -> list[str]:
    """The lines of a text that is parallel to others, one sentence a line.

    `name` stands for the path in messages. Raises InputError when the file is no UTF-8 or empty,
    or when a line is empty or has control characters; all problems are told together.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from error
    # Not splitlines(), which takes rarer characters than the newline for the end of a line.
    lines = [line.removesuffix("\r").strip(" \t\u00a0") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    problems = [
        f"line {number} {problem}"
        for number, line in enumerate(lines, start=1)
        if (problem := text_problem(line))
    ]
    if not lines:
        problems.append("the file is empty")
    raise_all(name, problems, "mend the text")
    return lines


def text_problem(text: str) -> str | None:
    """Why a sentence cannot be used, if so: nothing in it, or control characters."""
    if not text:
        return "is empty"
    for character in text:
        if unicodedata.category(character) == "Cc" and character != "\t":
            return f"has the control character U+{ord(character):04X}"
    return None
