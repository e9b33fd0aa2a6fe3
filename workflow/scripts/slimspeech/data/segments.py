"""Write checked 16 kHz clips and rows of segments.jsonl, from the raw segments of any corpus."""

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from slimspeech.artifacts import Row, require_space
from slimspeech.data.audio import SAMPLING_RATE, read_audio, read_header, write_wav
from slimspeech.data.raw_segments import BadSegments, RawSegment, raise_all
from slimspeech.data.readers import raw_segments
from slimspeech.errors import InputError
from slimspeech.languages import name as english_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSettings:
    """Limits of clips in seconds. Longer ones are an error ("fail"), left out ("drop"), or kept
    for the model's reader to cut ("split"). bad_segments: the same for what cannot be used."""

    max_seconds: float
    min_seconds: float
    long_segments: Literal["fail", "split", "drop"]
    bad_segments: Literal["fail", "drop"]


def languages_of(pairs: Sequence[str], names: dict[str, str] | None = None) -> list[str]:
    """Language codes of pairs such as "en-de", each once, sources first.

    names: English names of languages that slimspeech.languages does not have. Raises InputError
    for a language without a name, long before a prompt needs it.
    """
    sources, targets = zip(*(pair.split("-", 1) for pair in pairs), strict=True)
    codes = list(dict.fromkeys(sources + targets))
    for code in codes:
        english_name(code, names)
    return codes


def prepare_segments(
    archive: str | Path, audio_folder: str | Path, settings: DataSettings, languages: Sequence[str]
) -> list[Row]:
    """Check a corpus and write its gold segments as audio_folder/split/sent_K.wav.

    Returns the rows of segments.jsonl in the order of the corpus (of ACL 60/60: dev then eval, K
    ascending). Its layout is one of `readers.raw_segments`; `languages` starts with the source.
    An InputError leaves the audio folder as it was.
    """
    audio_folder = Path(audio_folder)
    partial = audio_folder.with_name(f".{audio_folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    bad = BadSegments(drop=settings.bad_segments == "drop")
    try:
        with raw_segments(archive, partial / "unpacked", languages, bad) as segments:
            rows = write_segments(
                segments, partial / "audio", audio_folder, str(archive), settings, bad
            )
        if audio_folder.exists():
            shutil.rmtree(audio_folder)
        os.replace(partial / "audio", audio_folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return rows


def write_segments(
    segments: Iterable[RawSegment],
    written: Path,
    audio_folder: Path,
    corpus_name: str,
    settings: DataSettings,
    bad: BadSegments,
) -> list[Row]:
    """Write every clip under `written`; the rows name `audio_folder`, to which it is moved later.

    bad: takes the clips that are unreadable or too short. Raises InputError naming those, or those
    that are too long, by the settings.
    """
    segments = list(segments)
    require_space(written.parent, sum(map(_written_bytes, segments)), "16 kHz audio")
    rows = []
    unusable, too_long = [], []
    converted = dropped = 0
    for segment in tqdm(segments, desc="segments", unit="clip"):
        try:
            audio = _read_clip(segment, settings.min_seconds)
        except InputError as error:
            unusable.append(f"{segment.split}/{error}")
            continue
        seconds = len(audio) / SAMPLING_RATE
        if seconds > settings.max_seconds and settings.long_segments == "drop":
            dropped += 1
            continue
        if seconds > settings.max_seconds and settings.long_segments == "fail":
            name = f"{segment.split}/{segment.clip_name}"
            too_long.append(f"{name}: {seconds:.3f} s is over {settings.max_seconds} s")
            continue
        file = Path(segment.split) / f"sent_{segment.index}.wav"
        (written / segment.split).mkdir(parents=True, exist_ok=True)
        header = read_header(segment.clip)
        if segment.is_whole and header.is_ready:
            shutil.copyfile(segment.clip, written / file)
        else:
            write_wav(written / file, audio)
        if segment.is_whole and not header.is_ready:
            converted += 1
            logger.info("%s: converted to 16 kHz mono PCM16 from %s", segment.name, header)
        rows.append(
            {
                "id": segment.id,
                "talk": segment.talk,
                "split": segment.split,
                "index": segment.index,
                "audio": (audio_folder / file).as_posix(),
                "duration": round(seconds, 3),
                "texts": segment.texts,
                "corpus": segment.corpus,
            }
        )
    bad.handle(corpus_name, unusable, "give whole clips")
    fix = 'raise data/max_seconds or set data/long_segments to "split" or "drop"'
    raise_all(corpus_name, too_long, fix)
    bad.warn()
    if dropped:
        logger.warning("%d segments over %s s left out", dropped, settings.max_seconds)
    if not rows:
        raise InputError(
            f"{corpus_name}: no segment is left: {len(bad.dropped)} cannot be used and {dropped} "
            f"are over {settings.max_seconds} s; correct the corpus or raise data/max_seconds"
        )
    hours = sum(row["duration"] for row in rows) / 3600
    logger.info("%d segments, %.2f hours, %d clips converted", len(rows), hours, converted)
    return rows


def _read_clip(segment: RawSegment, min_seconds: float) -> np.ndarray:
    """Samples as of read_audio(). Raises InputError for a clip that is shorter than min_seconds."""
    audio = read_audio(
        segment.clip,
        name=segment.clip_name,
        start=segment.start,
        seconds=segment.seconds,
        whole=True,
    )
    seconds = len(audio) / SAMPLING_RATE
    if seconds < min_seconds:
        raise InputError(
            f"{segment.clip_name}: {seconds:.3f} s is under {min_seconds} s (data/min_seconds)"
        )
    return audio


def _written_bytes(segment: RawSegment) -> int:
    """About the size of the written clip; from a compressed file it is larger than this."""
    if segment.seconds is not None:
        return round(segment.seconds * SAMPLING_RATE) * 2
    return os.path.getsize(segment.clip) if segment.clip.is_file() else 0
