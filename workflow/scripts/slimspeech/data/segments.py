"""From raw segments of any corpus to checked 16 kHz clips and the rows of segments.jsonl."""

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from slimspeech.artifacts import Row, require_space
from slimspeech.data.audio import SAMPLING_RATE, is_ready, read_audio, read_header, write_wav
from slimspeech.data.raw_segments import RawSegment, raise_all
from slimspeech.data.readers import raw_segments
from slimspeech.errors import InputError
from slimspeech.languages import name as english_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSettings:
    """What a clip may be, in seconds; "split" lets longer ones go on, for the reader to cut,
    "drop" leaves them out."""

    max_seconds: float
    min_seconds: float = 0.1
    long_segments: Literal["fail", "split", "drop"] = "fail"


def languages_of(pairs: Sequence[str], names: dict[str, str] | None = None) -> list[str]:
    """Language codes of pairs such as "en-de", each once, sources first.

    `names` are English names of languages that we do not know. Raises InputError for a language
    without one, long before a prompt needs it.
    """
    codes = [pair.split("-", 1) for pair in pairs]
    found = list(dict.fromkeys([source for source, _ in codes] + [target for _, target in codes]))
    for code in found:
        english_name(code, names)
    return found


def prepare_segments(
    archive: str | Path,
    audio_folder: str | Path,
    settings: DataSettings,
    languages: Sequence[str],
) -> list[Row]:
    """Check a corpus and write its gold segments as audio_folder/split/sent_K.wav.

    Returns the rows of segments.jsonl in the order of the corpus (of ACL 60/60: dev then eval, K
    ascending). What layouts it may have: `layouts.raw_segments`. `languages` starts with the
    source. On InputError the audio folder is as it was before.
    """
    audio_folder = Path(audio_folder)
    partial = audio_folder.with_name(f".{audio_folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with raw_segments(archive, partial / "unpacked", languages) as found:
            segments = list(found)
            rows = write_segments(segments, partial / "audio", audio_folder, str(archive), settings)
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
) -> list[Row]:
    """Write every clip under `written`; the rows say `audio_folder`, where it is moved later.

    Raises InputError naming all clips that are unreadable, too short or too long.
    """
    segments = list(segments)
    require_space(written.parent, sum(map(_written_bytes, segments)), "16 kHz audio")
    rows = []
    problems = []
    fixes = set()
    converted = dropped = 0
    for segment in tqdm(segments, desc="segments", unit="clip"):
        try:
            audio = read_audio(
                segment.clip,
                name=segment.place,
                start=segment.start,
                seconds=segment.seconds,
            )
        except InputError as error:
            problems.append(f"{segment.split}/{error}")
            fixes.add("give whole clips")
            continue
        seconds = len(audio) / SAMPLING_RATE
        if seconds > settings.max_seconds and settings.long_segments == "drop":
            dropped += 1
            continue
        if wrong := _wrong_length(seconds, settings):
            problem, fix = wrong
            problems.append(f"{segment.split}/{segment.place}: {problem}")
            fixes.add(fix)
            continue
        place = Path(segment.split) / f"sent_{segment.index}.wav"
        (written / segment.split).mkdir(parents=True, exist_ok=True)
        if not segment.is_whole:
            write_wav(written / place, audio)
        elif is_ready(segment.clip):
            shutil.copyfile(segment.clip, written / place)
        else:
            converted += 1
            was = read_header(segment.clip)
            form = f"{was.format} {was.subtype}, {was.sampling_rate} Hz, {was.channels} channels"
            logger.info("%s: made 16 kHz mono PCM16 from %s", segment.name, form)
            write_wav(written / place, audio)
        rows.append(
            {
                "id": segment.id,
                "talk": segment.talk,
                "split": segment.split,
                "index": segment.index,
                "audio": (audio_folder / place).as_posix(),
                "duration": round(seconds, 3),
                "texts": segment.texts,
                "corpus": segment.corpus,
            }
        )
    raise_all(corpus_name, problems, "; ".join(sorted(fixes)))
    if dropped:
        logger.warning("%d segments over %s s left out", dropped, settings.max_seconds)
    if not rows:
        raise InputError(f"{corpus_name}: no segment is left; raise data/max_seconds")
    hours = sum(row["duration"] for row in rows) / 3600
    logger.info("%d segments, %.2f hours, %d clips converted", len(rows), hours, converted)
    return rows


def _written_bytes(segment: RawSegment) -> int:
    """About what the clip takes once written; a compressed file takes more than it does now."""
    if segment.seconds is not None:
        return round(segment.seconds * SAMPLING_RATE) * 2
    return os.path.getsize(segment.clip) if segment.clip.is_file() else 0


def _wrong_length(seconds: float, settings: DataSettings) -> tuple[str, str] | None:
    """The problem with a clip's length, if there is one, and how to mend it."""
    if seconds < settings.min_seconds:
        return f"{seconds:.3f} s is under {settings.min_seconds} s", "lower data/min_seconds"
    if seconds > settings.max_seconds and settings.long_segments == "fail":
        return (
            f"{seconds:.3f} s is over {settings.max_seconds} s",
            'raise data/max_seconds or set data/long_segments to "split" or "drop"',
        )
    return None
