"""The audio of a command: files, folders and standard input."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimspeech.errors import InputError

# The usual suffixes of formats that soundfile reads; other files of a folder are ignored.
NAMES = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{name}" for name in NAMES.split())
STDIN = "-"


@dataclass(frozen=True)
class Talk:
    """An audio file. path: None for standard input. name: for messages. output: path of its output
    inside an output folder, without the format's suffix."""

    path: Path | None
    name: str
    output: Path

    @classmethod
    def of(cls, argument: str) -> "Talk":
        """A file by its path, or standard input by "-"."""
        if argument == STDIN:
            return cls(None, "standard input", Path("stdin"))
        return cls(Path(argument), argument, Path(Path(argument).name))


def find_talks(arguments: Sequence[str]) -> list[Talk]:
    """The given files, and every audio file in the given folders, at any depth.

    Does not check that a file exists. Raises InputError for a folder without audio, for standard
    input given twice, and for two files with the same output.
    """
    if arguments.count(STDIN) > 1:
        raise InputError("standard input (-) is given twice; it can be read only once")
    talks: list[Talk] = []
    for argument in arguments:
        folder = Path(argument)
        if argument == STDIN or not folder.is_dir():
            talks.append(Talk.of(argument))
            continue
        files = [
            file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file()
        ]
        if not files:
            raise InputError(
                f"{argument}: no audio in this folder; audio files end in "
                f"{', '.join(sorted(SUFFIXES))}"
            )
        talks += [Talk(file, str(file), file.relative_to(folder)) for file in sorted(files)]
    return _shortened(talks)


def _shortened(talks: Sequence[Talk]) -> list[Talk]:
    """Outputs without the suffix of the audio; with it where two are equal, as a.wav and a.mp3."""
    short = [talk.output.with_suffix("") for talk in talks]
    outputs = [
        talk.output if short.count(path) > 1 else path
        for talk, path in zip(talks, short, strict=True)
    ]
    for talk, output in zip(talks, outputs, strict=True):
        if outputs.count(output) > 1:
            raise InputError(
                f"{talk.name}: another file is also called {output.name}, and both would have the "
                "same output; translate them one by one"
            )
    return [replace(talk, output=output) for talk, output in zip(talks, outputs, strict=True)]


@contextlib.contextmanager
def opened(talk: Talk) -> Iterator[Path]:
    """The path of the audio; standard input is copied to a temporary file, because readers of most
    formats seek."""
    if talk.path is not None:
        yield talk.path
        return
    with tempfile.NamedTemporaryFile(prefix="slimspeech-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
