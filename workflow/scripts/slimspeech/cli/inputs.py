"""The audio of a command: files, folders and standard input."""

import contextlib
import logging
import mimetypes
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from slimspeech.errors import InputError
from slimspeech.formatting import printable

logger = logging.getLogger(__name__)

# The usual suffixes of formats that soundfile reads; other files of a folder are ignored.
NAMES = "wav wave flac ogg oga opus mp3 aif aiff aifc au snd caf w64 rf64"
SUFFIXES = frozenset(f".{name}" for name in NAMES.split())
STDIN = "-"
# What macOS adds to folders and archives.
LITTER, LITTER_FOLDER = "._", "__MACOSX"
NAMED = 3


@dataclass(frozen=True)
class Talk:
    """An audio file. path: None for standard input. name: for messages. output: path of its output
    inside an output folder, without the format's suffix. problem: why it cannot be read, if that is
    known already."""

    path: Path | None
    name: str
    output: Path
    problem: str | None = None

    @classmethod
    def of(cls, argument: str) -> "Talk":
        """A file by its path, or standard input by "-"."""
        if argument == STDIN:
            return cls(None, "standard input", Path("stdin"))
        if not argument:  # an empty variable of a script
            return cls(
                None, "''", Path("empty"), "an empty name was given; give a file or a folder"
            )
        return cls(Path(argument), printable(argument), Path(Path(argument).name))


def find_talks(arguments: Sequence[str]) -> list[Talk]:
    """The given files, and every audio file in the given folders, at any depth.

    Does not check that a file exists. Warns of the audio in folders that it leaves out. Raises
    InputError if there is nothing but a folder without audio, for standard input given twice, and
    for two files with the same output.
    """
    if arguments.count(STDIN) > 1:
        raise InputError("standard input (-) is given twice; it can be read only once")
    talks: list[Talk] = []
    for argument in arguments:
        if argument != STDIN and os.path.isdir(argument):
            talks += _talks_in(Path(argument))
        else:
            talks.append(Talk.of(argument))
    if len(arguments) == len(talks) == 1 and talks[0].problem:
        raise InputError(talks[0].problem)
    unusable = [talk for talk in talks if talk.problem]
    return unusable + _shortened([talk for talk in talks if not talk.problem])


def _talks_in(folder: Path) -> list[Talk]:
    talks, left_out, visited = [], [], set()

    def unreadable(error: OSError) -> None:
        path = Path(error.filename)
        name = printable(path)
        problem = f"{name}: cannot be read ({error.strerror}); check its permissions"
        talks.append(Talk(path, name, path.relative_to(folder), problem))

    for parent, folders, names in os.walk(folder, onerror=unreadable, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:  # by a link, perhaps to a folder above it
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        for name in names:
            path = Path(parent, name)
            is_copy = name.startswith(LITTER) or LITTER_FOLDER in path.relative_to(folder).parts
            # A pipe would be waited for. A link to no file is an error when it is read.
            is_file = os.path.isfile(path) or not os.path.exists(path)
            if path.suffix.lower() in SUFFIXES and is_file and not is_copy:
                talks.append(Talk(path, printable(path), path.relative_to(folder)))
            elif path.suffix.lower() in SUFFIXES or _is_media(name):
                left_out.append(printable(path.relative_to(folder)))
    if left_out:
        named = ", ".join(sorted(left_out)[:NAMED])
        others = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        logger.warning(
            "%s: left out, not audio that soundfile reads: %s%s", printable(folder), named, others
        )
    if not talks:
        suffixes = ", ".join(sorted(SUFFIXES))
        problem = f"{printable(folder)}: no audio in this folder; audio files end in {suffixes}"
        return [Talk(folder, printable(folder), Path(folder.name), problem)]
    return sorted(talks, key=lambda talk: str(talk.path))


def _is_media(name: str) -> bool:
    """Whether a file is audio or video by its suffix, such as m4a or mp4."""
    return (mimetypes.guess_type(name)[0] or "").startswith(("audio/", "video/"))


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


def is_pipe(path: Path) -> bool:
    """Whether a path is a named pipe or the shell's <(…), whose content can be read only once."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


@contextlib.contextmanager
def opened(talk: Talk) -> Iterator[Path]:
    """The path of the audio; standard input and pipes are copied to a temporary file, because
    readers of most formats seek. Raises InputError if there is no room for it."""
    if talk.path is not None and not is_pipe(talk.path):
        yield talk.path
        return
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="slimspeech-"))
            if talk.path is None and sys.stdin is None:
                raise InputError("standard input is closed; give a file, or pipe audio into it")
            source = (
                sys.stdin.buffer
                if talk.path is None
                else stack.enter_context(open(talk.path, "rb"))
            )
            shutil.copyfileobj(source, file)
            file.flush()
        except OSError as error:
            raise InputError(f"{talk.name}: cannot be copied ({error.strerror})") from error
        yield Path(file.name)
