"""The one place where audio is decoded and its samples are counted.

libsndfile decodes. It takes the length of a file from its header, or guesses it from its size, and
stops there. Here every stream of a file is read until the decoder has no more. Fewer samples than
the header promises, and bytes that no decoder takes, are problems with numbers.
"""

import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from slimspeech.data import mpeg
from slimspeech.data.containers import BLOCK_BYTES, Stream, find_streams, skip_id3
from slimspeech.data.stream_decoder import Decoder
from slimspeech.errors import InputError
from slimspeech.formatting import printable
from slimspeech.git_lfs import require_content

SAMPLING_RATE = 16_000  # of all clips of the project


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its length, None if it says none, and its first stream's format.

    seconds: the length. sampling_rate: in Hz. is_true: whether all sizes in the file are right.
    """

    seconds: float | None
    sampling_rate: int
    channels: int
    format: str
    subtype: str
    is_true: bool

    def __str__(self) -> str:
        return f"{self.format} {self.subtype}, {self.sampling_rate} Hz, {self.channels} channels"

    @property
    def is_ready(self) -> bool:
        """Whether the file is as `audio.write_wav` writes it at 16 kHz: wav, PCM16, mono."""
        properties = (self.format, self.subtype, self.sampling_rate, self.channels)
        return self.is_true and properties == ("WAV", "PCM_16", SAMPLING_RATE, 1)


@dataclass(frozen=True)
class Block:
    """Decoded samples, float32 of shape (frames, channels), and the number of their stream."""

    stream: int
    sampling_rate: int
    samples: np.ndarray


class AudioFile:
    """An audio file to be decoded once, from start to end; use it as a context.

    header: see Header. After blocks(): seconds, the length that was decoded; problems, a sentence
    for whatever is missing; and is_short, whether that is audio that the header promises.
    """

    def __init__(self, path: str | Path, name: str | None = None) -> None:
        """name: replaces the path in messages, for a copy that the user never sees.

        Raises InputError if the file is missing, empty, not a file, unreadable or not audio.
        """
        self.name = name or printable(path)
        self.seconds = 0.0
        self.problems: list[str] = []
        self.is_short = False
        self._read: list[Decoder] = []
        self._unread: list[Stream] = []
        self._file = _opened(path, self.name)
        try:
            self._streams = find_streams(self._file, os.path.getsize(path))
            self._first = self._first_decoder()
        except OSError as error:
            self._file.close()
            raise _unreadable(self.name, error) from error
        except BaseException:
            self._file.close()
            raise
        sound, stream = self._first.sound, self._first.stream
        single = len(self._streams) == 1
        promised = self._first.promised if single else None
        self.header = Header(
            None if promised is None else promised / sound.samplerate,
            sound.samplerate,
            sound.channels,
            sound.format,
            sound.subtype,
            single and stream.is_true and self._first.missing == 0,
        )

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, start: float = 0.0, seconds: float | None = None) -> Iterator[Block]:
        """The samples, or those of `seconds` from second `start`, at most BLOCK_SECONDS at once.

        Raises InputError if samples are damaged or the file has none.
        """
        streams = list(self._streams)
        for number in itertools.count():  # a decoder may find that more streams follow
            if number == len(streams):
                break
            try:
                decoder = self._decoder(streams[number]) if number else self._first
            except InputError:
                self._unread.append(streams[number])
                continue
            rate = decoder.sound.samplerate
            first = max(0, round((start - self.seconds) * rate))
            last = None if seconds is None else round((start + seconds - self.seconds) * rate)
            if last is not None and last <= 0:
                return
            for samples in decoder.read(first, last):
                yield Block(number, rate, samples)
            self.seconds += decoder.position / rate
            if not decoder.ended:
                return
            decoder.sound.close()  # a file may have thousands of streams
            self._read.append(decoder)
            if decoder.rest:
                streams.insert(number + 1, decoder.rest)
        self._account()

    def _account(self) -> None:
        """Compare what was delivered with what the file promises, stream by stream."""
        delivered = sum(decoder.position for decoder in self._read)
        promised = sum(max(decoder.position, decoder.promised or 0) for decoder in self._read)
        if not delivered:
            raise InputError(f"{self.name}: the file holds no samples; copy or download it again")
        if any(decoder.is_short for decoder in self._read):
            self.is_short = True
            rate = self._read[-1].sound.samplerate
            self.problems.append(_cut_short(promised, delivered, rate))
        elif any(decoder.stream.is_unmarked for decoder in self._read):
            self.problems.append(
                f"may be cut short, there is no end mark after {self.seconds:.2f} s"
            )
        left_out = sum(decoder.undecoded for decoder in self._read)
        left_out += sum(stream.end - stream.start for stream in self._unread)
        if left_out > BLOCK_BYTES or self._unread:
            self.problems.append(f"{left_out} bytes that no decoder reads are left out")

    def _first_decoder(self) -> "Decoder":
        stream = self._streams[0]
        try:
            return self._decoder(stream)
        except InputError:  # an MP3 may begin in the middle of a frame, or with a broken tag
            at = skip_id3(self._file, stream.start, stream.end)
            at = at if at < stream.end else stream.start
            start = mpeg.find_frames(self._file, at, min(stream.end, at + mpeg.WINDOW))
            if start is None or stream.head:
                raise
            self._streams[0] = replace(stream, start=start)
            return self._decoder(self._streams[0])

    def _decoder(self, stream: Stream) -> "Decoder":
        return Decoder(self._file, stream, self.name)


def _opened(path: str | Path, name: str) -> BinaryIO:
    require_content(Path(path), name)
    try:
        properties = os.stat(path)
        is_file = stat.S_ISREG(properties.st_mode)
        file = open(path, "rb") if is_file else None  # noqa: SIM115 (AudioFile closes it)
    except FileNotFoundError:
        if os.path.islink(path):
            target = printable(os.readlink(path))
            raise InputError(
                f"{name}: is a link to {target}, which does not exist; get that file"
            ) from None
        raise InputError(f"{name}: no such audio file; check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise _unreadable(name, error) from error
    if stat.S_ISDIR(properties.st_mode):
        raise InputError(f"{name}: is a folder, not an audio file; correct the path")
    if file is None:
        raise InputError(f"{name}: is not a regular file; copy its content to one")
    if properties.st_size == 0:
        file.close()
        raise InputError(f"{name}: the file has 0 bytes; copy or download it again")
    return file


def _unreadable(name: str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{name}: cannot be read ({reason}); check its path, permissions and disk")


def _cut_short(promised: int, delivered: int, rate: int) -> str:
    if promised <= delivered:
        return f"cut short, it ends inside a page after {delivered / rate:.2f} s"
    return (
        f"cut short, its header promises {promised} samples ({promised / rate:.2f} s) and the file "
        f"holds {delivered} ({delivered / rate:.2f} s)"
    )
