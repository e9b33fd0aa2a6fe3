"""The audio that a command is given: files, folders and standard input."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slimspeech.errors import InputError

# What soundfile reads, by the endings it usually has; in a folder no others are looked at.
ENDINGS = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{ending}" for ending in ENDINGS.split())
STDIN = "-"


@dataclass(frozen=True)
class Talk:
    """An audio file. path: None for standard input. place: where its output goes in an output
    folder, without the ending; a path if it was found in a folder."""

    path: Path | None
    name: str
    place: Path


def find_talks(given: Sequence[str]) -> list[Talk]:
    """Files as they are, of folders every audio file at any depth; no two with the same place.

    A file that is missing is found out when it is read. Raises InputError for a folder without
    audio and for standard input named twice.
    """
    found: list[Talk] = []
    for name in given:
        path = Path(name)
        if name == STDIN:
            found.append(Talk(None, "standard input", Path("stdin")))
        elif path.is_dir():
            files = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
            if not files:
                raise InputError(
                    f"{name}: no audio in this folder; its files would end in "
                    f"{', '.join(sorted(SUFFIXES))}"
                )
            found += [Talk(file, str(file), file.relative_to(path)) for file in files]
        else:
            found.append(Talk(path, name, Path(path.name)))
    if sum(talk.path is None for talk in found) > 1:
        raise InputError("standard input (-) is given twice; it can be read once")
    return _apart(found)


def _apart(talks: Sequence[Talk]) -> list[Talk]:
    """Places without their ending; with it where two would be alike, as a.wav and a.mp3."""
    plain = [talk.place.with_suffix("") for talk in talks]
    places = [
        talk.place if plain.count(short) > 1 else short
        for talk, short in zip(talks, plain, strict=True)
    ]
    for talk, place in zip(talks, places, strict=True):
        if places.count(place) > 1:
            raise InputError(
                f"{talk.name}: another of the files is called {place.name} too, and both would be "
                "written to the same place; translate them one by one"
            )
    return [Talk(talk.path, talk.name, place) for talk, place in zip(talks, places, strict=True)]


@contextlib.contextmanager
def opened(talk: Talk) -> Iterator[Path]:
    """The file to read; standard input becomes one while it is needed, for most formats have to be
    read here and there."""
    if talk.path is not None:
        yield talk.path
        return
    with tempfile.NamedTemporaryFile(prefix="slimspeech-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)
