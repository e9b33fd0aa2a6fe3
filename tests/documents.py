"""The documents of the project, and the commands that they give."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from project import REPOSITORY

FENCE = re.compile(r"^ *```([a-z{}-]*).*?\n(.*?)^ *```", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PROMPTS = (".venv/bin/", ".venv-comet/bin/", ".venv-vllm/bin/", ".venv-gguf/bin/")


@dataclass(frozen=True)
class Command:
    document: str
    program: str
    words: list[str]

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join([self.program, *self.words])}"


def documents() -> list[Path]:
    """What people read, whether in the site or not; the generated reference is not among it."""
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    pages += [REPOSITORY / folder / "README.md" for folder in ("config", "benchmarks")]
    return sorted([*pages, REPOSITORY / "docs" / "api" / "index.md"])


@cache
def commands(program: str) -> tuple[Command, ...]:
    """Every call of a program, in blocks or within a line, without comments and what is piped."""
    return tuple(
        Command(str(path.relative_to(REPOSITORY)), program, words[1:])
        for path in documents()
        for line in lines_of(path.read_text(encoding="utf-8"))
        if (words := words_of(line)) and words[0] == program
    )


def lines_of(text: str) -> list[str]:
    blocks = [
        line for _, code in FENCE.findall(text) for line in code.replace("\\\n", " ").splitlines()
    ]
    inline = [code.replace("\n", " ") for code in INLINE.findall(FENCE.sub("", text))]
    return [line.strip() for line in [*blocks, *inline]]


def words_of(line: str) -> list[str]:
    """The words of a command up to the next one, its program without the environment's folder."""
    line = re.split(r"\s[|<>]\s|&&|;", line)[0]
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a line of prose or of another language
        return []
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words:
        for folder in PROMPTS:
            words[0] = words[0].removeprefix(folder)
    return words
