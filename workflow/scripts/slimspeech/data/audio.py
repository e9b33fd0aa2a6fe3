"""Read audio of any format as 16 kHz mono, write clips, and cut long ones at pauses."""

import itertools
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import soundfile
import soxr

from slimspeech.data.decoding import SAMPLING_RATE, AudioFile, Block, Header
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

FRAME_SECONDS = 0.02
# Offsets are rounded, and some corpora's last segments end a little after the talk.
END_SLACK_SECONDS = 0.5
# Channels cancel if their mean has so little of the energy that it would have of unlike channels.
CANCELLED = 0.05
# Floats are at full scale at 1, and at most a few times louder. Integers stored as floats are above
# this; a clip would be cut off at 1, and a model hears noise.
LOUDEST = 100
# Fewer samples do not show whether channels cancel.
JUDGED_SECONDS = 0.1


@dataclass(frozen=True)
class Measure:
    """The length of an audio file in seconds, and sentences for what is missing from it."""

    seconds: float
    problems: tuple[str, ...]


def read_audio(
    path: str | Path,
    sampling_rate: int = SAMPLING_RATE,
    name: str | None = None,
    start: float = 0.0,
    seconds: float | None = None,
    whole: bool = False,
) -> np.ndarray:
    """Mono float32 samples, shape (samples,), at `sampling_rate` Hz, channels averaged.

    All of the file, or `seconds` of it from second `start`. A part may end up to END_SLACK_SECONDS
    after the file, and is shorter then. `name` replaces the path in messages, for a copy that the
    user never sees. Where channels cancel, the louder one is taken. Warns of what is missing.
    Raises InputError if the file is missing, empty, not audio, damaged, not finite, far above full
    scale, ends before the part, or has a sampling rate outside 4 to 384 kHz; with `whole` also if
    it is cut short.
    """
    with AudioFile(path, name) as file:
        pieces = []
        samples_read = 0
        blocks = _mono(file, file.blocks(start, seconds))
        for _, stream in itertools.groupby(blocks, key=lambda block: block.stream):
            parts = list(stream)
            mono = np.concatenate([part.samples for part in parts])
            samples_read += len(mono)
            if parts[0].sampling_rate != sampling_rate:
                mono = soxr.resample(mono, parts[0].sampling_rate, sampling_rate)
            pieces.append(mono)
        if seconds is not None or start:
            _check_part(file, start, seconds, samples_read)
        _report(file, whole)
    audio = np.concatenate(pieces)
    if not len(audio):
        raise InputError(f"{file.name}: shorter than a sample at {sampling_rate} Hz; remove it")
    return np.ascontiguousarray(audio, dtype=np.float32)


def read_blocks(
    path: str | Path, sampling_rate: int = SAMPLING_RATE, name: str | None = None
) -> Iterator[np.ndarray]:
    """The samples of `read_audio` in pieces of about BLOCK_SECONDS, so that a talk of any length
    takes the memory of one piece.

    Warns and raises InputError as `read_audio`; of damaged samples when they are reached.
    """
    with AudioFile(path, name) as file:
        blocks = _mono(file, file.blocks())
        for _, stream in itertools.groupby(blocks, key=lambda block: block.stream):
            yield from _resampled(stream, sampling_rate)
        _report(file, whole=False)


def measure(path: str | Path, name: str | None = None, limit: float = inf) -> Measure:
    """Decode a file and count its samples, at most a little over `limit` seconds of them.

    Raises InputError as `read_audio`.
    """
    with AudioFile(path, name) as file:
        seconds = 0.0
        for block in _mono(file, file.blocks()):
            seconds += len(block.samples) / block.sampling_rate
            if seconds > limit:
                break
        return Measure(seconds, tuple(file.problems))


def duration(path: str | Path) -> float:
    """Seconds, counted by decoding. Raises InputError as `read_audio` with `whole`."""
    with AudioFile(path) as file:
        for _ in _mono(file, file.blocks()):
            pass
        _report(file, whole=True)
        return file.seconds


def read_header(path: str | Path, name: str | None = None) -> Header:
    """Raises InputError as `read_audio`, except for problems of the samples."""
    with AudioFile(path, name) as file:
        return file.header


def _mono(file: AudioFile, blocks: Iterator[Block]) -> Iterator[Block]:
    """Blocks of shape (frames, channels) as blocks of shape (frames,)."""
    louder = None
    for block in blocks:
        samples = block.samples
        peak = np.abs(samples).max(initial=0)
        if not np.isfinite(peak):
            raise InputError(f"{file.name}: has samples that are not finite; export the clip again")
        if peak > LOUDEST:
            raise InputError(
                f"{file.name}: has float samples up to {peak:.0f}, where 1 is full scale; "
                "divide them by the range of the integers that they were, such as 32768"
            )
        mono = samples.mean(axis=1)
        if samples.shape[1] > 1:
            if len(samples) >= JUDGED_SECONDS * block.sampling_rate:
                louder = _louder_channel(samples, mono)
            if louder is not None:
                mono = samples[:, min(louder, samples.shape[1] - 1)]
                problem = "its channels cancel each other; only the louder one is used there"
                if problem not in file.problems:
                    file.problems.append(problem)
        yield Block(block.stream, block.sampling_rate, mono)


def _louder_channel(samples: np.ndarray, mono: np.ndarray) -> int | None:
    """The channel with the most energy, if the channels cancel in their mean."""
    energies = np.einsum("fc,fc->c", samples, samples)
    cancel = np.dot(mono, mono) < CANCELLED * energies.sum() / samples.shape[1] ** 2
    return int(energies.argmax()) if cancel else None


def _resampled(blocks: Iterator[Block], sampling_rate: int) -> Iterator[np.ndarray]:
    """The samples of one stream at another rate."""
    resampler = None
    for block in blocks:
        samples = block.samples
        if block.sampling_rate != sampling_rate:
            resampler = resampler or soxr.ResampleStream(
                block.sampling_rate, sampling_rate, 1, dtype="float32"
            )
            samples = resampler.resample_chunk(np.ascontiguousarray(samples), last=False)
        if len(samples):
            yield samples
    if resampler and len(rest := resampler.resample_chunk(np.empty(0, np.float32), last=True)):
        yield rest


def _check_part(file: AudioFile, start: float, seconds: float | None, count: int) -> None:
    rate = file.header.sampling_rate
    wanted = 1 if seconds is None else round((start + seconds) * rate) - round(start * rate)
    if count == 0 or wanted - count > END_SLACK_SECONDS * rate:
        end = start if seconds is None else start + seconds
        raise InputError(
            f"{file.name}: ends at {end:.3f} s, but the file at {file.seconds:.3f} s; "
            "correct the offsets or give the whole file"
        )


def _report(file: AudioFile, whole: bool) -> None:
    if whole and file.is_short:
        raise InputError(f"{file.name}: {'; '.join(file.problems)}; copy or download it again")
    for problem in file.problems:
        logger.warning("%s: %s", file.name, problem)


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
