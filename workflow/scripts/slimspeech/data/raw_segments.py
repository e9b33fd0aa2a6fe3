"""A segment as the readers of gold corpora return it, and what these readers share."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from slimspeech.artifacts import read_text
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

NAMED_PROBLEMS = 5  # of an error
NAMED_SEGMENTS = 3  # of a warning
# Longer than any recording; infinity and numbers that would overflow are above it.
LONGEST_SECONDS = 10**7
# The talk of rows of which it is not known where a talk begins.
WHOLE_SET = "whole test set"


@dataclass(frozen=True)
class RawSegment:
    """One segment of a corpus: its texts by language code, and its clip, which is not checked yet.

    The segment is all of `clip`, or `seconds` of it from second `start` (to the end if None).
    `name` is the segment's name in messages.
    """

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
    def id(self) -> str:
        return f"{self.split}-{self.index}"

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.seconds is None

    @property
    def clip_name(self) -> str:
        """The clip's file name, and where the segment begins in it, for messages."""
        return self.clip.name if self.is_whole else f"{self.clip.name} from {self.start:g} s"


def find_paths(root: Path, pattern: str, depth: int) -> list[Path]:
    """Paths that match `pattern` in `root` or in a folder at most `depth` levels below, sorted.

    Hidden files and folders, and those that macOS adds to archives, are left out.
    """
    return sorted(
        path
        for level in range(depth + 1)  # rglob would not follow a link to a folder
        for path in root.glob("*/" * level + pattern)
        if not any(
            part.startswith(".") or part == "__MACOSX" for part in path.relative_to(root).parts
        )
    )


def raise_all(name: str, problems: Sequence[str], fix: str) -> None:
    """Raise one InputError with the first few problems and the number of others, if any."""
    if not problems:
        return
    for problem in problems:
        logger.error("%s: %s", name, problem)
    first = "; ".join(problems[:NAMED_PROBLEMS])
    others = len(problems) - NAMED_PROBLEMS
    raise InputError(f"{name}: {first}{f'; and {others} more' if others > 0 else ''}; {fix}")


@dataclass
class BadSegments:
    """Segments that cannot be used: an error, or with `drop` left out, counted and named.

    What is wrong with a file as a whole, such as a line too few, is an error in both cases. drop:
    None where the config has no say.
    """

    drop: bool | None
    dropped: list[str] = field(default_factory=list)

    def handle(self, name: str, problems: Sequence[str], fix: str) -> None:
        """name: of the file. Raises InputError as raise_all(), unless they are dropped."""
        if not self.drop:
            choice = "" if self.drop is None else ' or set data/bad_segments to "drop"'
            raise_all(name, problems, f"{fix}{choice}")
        self.dropped += [f"{name}: {problem}" for problem in problems]

    def warn(self) -> None:
        """Log how many were dropped and the first few, and as information each of them."""
        if not self.dropped:
            return
        first = "; ".join(self.dropped[:NAMED_SEGMENTS])
        others = len(self.dropped) - NAMED_SEGMENTS
        logger.warning(
            "%d segments that cannot be used are left out (data/bad_segments is drop): %s%s",
            len(self.dropped),
            first,
            f"; and {others} more" if others > 0 else "",
        )
        for problem in self.dropped:
            logger.info("left out: %s", problem)


def read_texts(
    folder: Path, pattern: str, languages: Sequence[str], name: str
) -> dict[str, list[str]]:
    """The lines of each language's file. pattern: of the file names, with * for the language.

    `name` is the folder's name in messages. Raises InputError as `read_lines`, and if there is no
    file for a language.
    """
    prefix, suffix = pattern.split("*")
    paths = {
        path.name.removeprefix(prefix).removesuffix(suffix): path
        for path in sorted(folder.glob(pattern))
        if path.suffix != ".yaml" and path.is_file()
    }
    if missing := [language for language in languages if language not in paths]:
        raise InputError(
            f"{name}: no text in {', '.join(missing)}, only in "
            f"{', '.join(paths) or 'no language'}; correct pairs or get the whole corpus"
        )
    return {
        language: read_lines(paths[language], f"{name}/{paths[language].name}")
        for language in languages
    }


def read_lines(path: Path, name: str) -> list[str]:
    """The lines of a text that is parallel to others, one sentence per line.

    `name` is the path's name in messages. Raises InputError if the file is empty or not UTF-8.
    """
    text = read_text(path, name)
    # splitlines() would also split at rarer characters. A file of the old Mac OS has \r alone.
    lines = text.split("\n" if "\n" in text else "\r")
    lines = [line.removesuffix("\r").strip(" \t\u00a0") for line in lines]
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise InputError(f"{name}: the file is empty; correct the text")
    return lines


def line_problems(texts: Mapping[str, Sequence[str]], pattern: str) -> dict[int, str]:
    """The problems of parallel texts by the number of the line, from 1.

    texts: lines by language. pattern: of the file names, with * for the language.
    """
    return {
        number: f"line {number} {problem} in {pattern.replace('*', language)}"
        for language, lines in texts.items()
        for number, line in enumerate(lines, start=1)
        if (problem := text_problem(line))
    }


def text_problem(text: str) -> str | None:
    """The problem with a sentence, if any: it shows nothing or has control characters."""
    if all(c.isspace() or unicodedata.category(c) == "Cf" for c in text):
        return "is empty"
    for character in text:
        if unicodedata.category(character) == "Cc" and character != "\t":
            return f"has the control character U+{ord(character):04X}"
    return None
