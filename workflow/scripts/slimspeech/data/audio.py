"""Read audio of any format as 16 kHz mono, write clips, and cut long ones at pauses."""

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from slimspeech.errors import InputError

SAMPLING_RATE = 16_000
LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
FRAME_SECONDS = 0.02
# Streaming writers cannot correct the header and leave sizes from here up in it.
UNKNOWN_SIZE = 0xFFFFFF00
# A decoder may return this much less than a lossy file's header promises; nothing is lost then.
LOSSY_SLACK_SECONDS = 0.1
# Offsets are rounded, and some corpora's last segments end a little after the talk.
END_SLACK_SECONDS = 0.5
BLOCK_SECONDS = 10


@dataclass(frozen=True)
class Header:
    """The properties in a file's header; frames are samples per channel, the rate is in Hz."""

    frames: int
    sampling_rate: int
    channels: int
    format: str
    subtype: str

    def __str__(self) -> str:
        return f"{self.format} {self.subtype}, {self.sampling_rate} Hz, {self.channels} channels"

    @property
    def is_ready(self) -> bool:
        """Whether the file has the format that `write_wav` writes at 16 kHz: wav, PCM16, mono."""
        properties = (self.format, self.subtype, self.sampling_rate, self.channels)
        return properties == ("WAV", "PCM_16", SAMPLING_RATE, 1)


def read_audio(
    path: str | Path,
    sampling_rate: int = SAMPLING_RATE,
    name: str | None = None,
    start: float = 0.0,
    seconds: float | None = None,
) -> np.ndarray:
    """Mono float32 samples, shape (samples,), at `sampling_rate` Hz, channels averaged.

    All of the file, or `seconds` of it from second `start`. A part may end up to END_SLACK_SECONDS
    after the file, and is shorter then. `name` replaces the path in messages, for a copy that the
    user never sees. Raises InputError if the file is missing, empty, cut short, not audio, not
    finite, ends before the part, or has a sampling rate outside 4 to 384 kHz.
    """
    name = name or str(path)
    header = read_header(path, name)
    rate = header.sampling_rate
    first = round(start * rate)
    last = header.frames if seconds is None else round((start + seconds) * rate)
    if first >= header.frames or last > header.frames + END_SLACK_SECONDS * rate:
        raise InputError(
            f"{name}: ends at {last / rate:.3f} s, but the file at {header.frames / rate:.3f} s; "
            "correct the offsets or give the whole file"
        )
    frames = min(last, header.frames) - first
    with _damage_named(name):
        samples, _ = soundfile.read(
            path, start=first, frames=frames, dtype="float32", always_2d=True
        )
    _check_length(header, frames, len(samples), name)
    mono = _mono(samples, name)
    if rate != sampling_rate:
        mono = soxr.resample(mono, rate, sampling_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_blocks(
    path: str | Path, sampling_rate: int = SAMPLING_RATE, name: str | None = None
) -> Iterator[np.ndarray]:
    """The samples of `read_audio` in pieces of about BLOCK_SECONDS, so that a talk of any length
    takes the memory of one piece.

    Raises InputError as `read_audio`; damaged samples raise it when they are reached.
    """
    name = name or str(path)
    header = read_header(path, name)
    rate = header.sampling_rate
    resampler = soxr.ResampleStream(rate, sampling_rate, 1, dtype="float32")
    frames = 0
    at_end = False
    with _Forward(path) as file:
        while not at_end:
            with _damage_named(name):
                samples = file.read(BLOCK_SECONDS * rate, dtype="float32", always_2d=True)
            frames += len(samples)
            at_end = len(samples) == 0
            block = _mono(samples, name)
            if rate != sampling_rate:
                block = resampler.resample_chunk(block, last=at_end)
            if len(block):
                yield block
    _check_length(header, header.frames, frames, name)


class _Forward(soundfile.SoundFile):
    """A file that is read from start to end.

    In a seekable file soundfile seeks to the current position after every read. An mp3 decoder then
    starts again, and its first samples are wrong.
    """

    def seekable(self) -> bool:
        return False


def _mono(samples: np.ndarray, name: str) -> np.ndarray:
    """(frames, channels) to (frames,)."""
    if not np.isfinite(samples).all():
        raise InputError(f"{name}: has samples that are not finite; export the clip again")
    return samples.mean(axis=1)


def _check_length(header: Header, expected: int, frames: int, name: str) -> None:
    slack = LOSSY_SLACK_SECONDS * header.sampling_rate if header.format == "MP3" else 0
    if expected - frames > slack:
        raise _cut_short(name, expected, frames)


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Turn libsndfile's error into one that names the file."""
    try:
        yield
    except soundfile.LibsndfileError as error:
        raise InputError(f"{name}: damaged audio ({error}); replace the file") from error


def duration(path: str | Path, name: str | None = None) -> float:
    """Seconds, from the header alone. Raises InputError as `read_header`."""
    header = read_header(path, name)
    return header.frames / header.sampling_rate


def read_header(path: str | Path, name: str | None = None) -> Header:
    """Raises InputError as `read_audio`, except for problems of the samples."""
    name = name or str(path)
    if not os.path.isfile(path):
        raise InputError(f"{name}: no such audio file; check the path")
    if os.path.getsize(path) == 0:
        raise InputError(f"{name}: the file has 0 bytes; copy or download it again")
    try:
        info = soundfile.info(str(path), verbose=True)
    except soundfile.LibsndfileError as error:
        raise InputError(
            f"{name}: not audio that soundfile can read ({error.error_string}); "
            "give wav, flac, ogg or mp3"
        ) from error
    if not LOWEST_RATE <= info.samplerate <= HIGHEST_RATE:
        raise InputError(
            f"{name}: a sampling rate of {info.samplerate} Hz is outside {LOWEST_RATE} to "
            f"{HIGHEST_RATE} Hz; correct the header or export the clip again"
        )
    # libsndfile lowers the frame count of a wav that is cut short, and reports it only in its log.
    sizes = re.search(r"^\s*(?:data|SSND) : (\d+) \(should be (\d+)\)", info.extra_info, re.M)
    if sizes and UNKNOWN_SIZE > int(sizes[1]) > int(sizes[2]):
        frame_bytes = max(1, int(sizes[2]) // max(1, info.frames))
        raise _cut_short(name, int(sizes[1]) // frame_bytes, info.frames)
    if info.frames == 0:
        raise InputError(f"{name}: the file holds no samples; remove it or replace it")
    return Header(info.frames, info.samplerate, info.channels, info.format, info.subtype)


def write_wav(path: str | Path, audio: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> None:
    """Write mono float samples, shape (samples,), as PCM16 wav, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    soundfile.write(partial, audio, sampling_rate, subtype="PCM_16", format="WAV")
    os.replace(partial, path)


def chunks(
    audio: np.ndarray, max_seconds: float, sampling_rate: int = SAMPLING_RATE
) -> list[np.ndarray]:
    """Cut mono samples, shape (samples,), into the fewest parts of at most `max_seconds` each.

    Each cut is in the middle of the quietest 20 ms near an equal division. The parts together are
    exactly the input.
    """
    longest = int(max_seconds * sampling_rate + 1e-6)  # 0.29 * 100 is a little under 29
    number = max(1, math.ceil(len(audio) / longest))
    part = len(audio) / number
    half_frame = max(1, int(FRAME_SECONDS * sampling_rate / 2))
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    cuts = [0]
    for division in range(1, number):
        ideal = round(division * part)
        # Neither so late that this part is too long, nor so early that the later parts are.
        first = max(len(audio) - (number - division) * longest, ideal - int(part / 4), cuts[-1] + 1)
        last = max(first, min(cuts[-1] + longest, ideal + int(part / 4)))
        positions = np.arange(first, last + 1)
        loudness = (
            energy[np.minimum(positions + half_frame, len(audio))]
            - energy[np.maximum(positions - half_frame, 0)]
        )
        quietest = positions[loudness <= loudness.min()]
        cuts.append(int(quietest[np.abs(quietest - ideal).argmin()]))
    cuts.append(len(audio))
    return [audio[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


def _cut_short(name: str, expected: int, frames: int) -> InputError:
    return InputError(
        f"{name}: cut short, its header promises {expected} samples and the file holds {frames}; "
        "copy or download it again"
    )
