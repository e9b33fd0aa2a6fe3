"""From raw segments of any corpus to checked 16 kHz clips and the rows of segments.jsonl."""

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from slimspeech import acl6060
from slimspeech.acl6060 import RawSegment, raise_all
from slimspeech.archives import unpacked
from slimspeech.artifacts import Row
from slimspeech.audio import SAMPLING_RATE, is_ready, read_audio, read_header, write_wav
from slimspeech.errors import InputError
from slimspeech.languages import name as english_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSettings:
    """What a clip may be, in seconds; "split" lets longer ones go on, for the reader to cut."""

    max_seconds: float
    min_seconds: float = 0.1
    long_segments: Literal["fail", "split"] = "fail"


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
    """Check an ACL 60/60 archive and write its gold segments as audio_folder/split/sent_K.wav.

    Returns the rows of segments.jsonl in the order of the archive: dev then eval, K ascending.
    `languages` starts with the source. On InputError the audio folder is as it was before.
    """
    audio_folder = Path(audio_folder)
    partial = audio_folder.with_name(f".{audio_folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with unpacked(archive, acl6060.is_wanted, partial / "unpacked") as root:
            segments = list(acl6060.read_segments(root, str(archive), languages))
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
    rows = []
    problems = []
    fixes = set()
    converted = 0
    for segment in tqdm(segments, desc="segments", unit="clip"):
        try:
            audio = read_audio(segment.clip, name=segment.clip.name)
        except InputError as error:
            problems.append(f"{segment.split}/{error}")
            fixes.add("give whole clips")
            continue
        seconds = len(audio) / SAMPLING_RATE
        if wrong := _wrong_length(seconds, settings):
            problem, fix = wrong
            problems.append(f"{segment.split}/{segment.clip.name}: {problem}")
            fixes.add(fix)
            continue
        place = Path(segment.split) / f"sent_{segment.index}.wav"
        (written / segment.split).mkdir(parents=True, exist_ok=True)
        if is_ready(segment.clip):
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
    hours = sum(row["duration"] for row in rows) / 3600
    logger.info("%d segments, %.2f hours, %d clips converted", len(rows), hours, converted)
    return rows


def _wrong_length(seconds: float, settings: DataSettings) -> tuple[str, str] | None:
    """The problem with a clip's length, if there is one, and how to mend it."""
    if seconds < settings.min_seconds:
        return f"{seconds:.3f} s is under {settings.min_seconds} s", "lower data/min_seconds"
    if seconds > settings.max_seconds and settings.long_segments == "fail":
        return (
            f"{seconds:.3f} s is over {settings.max_seconds} s",
            'raise data/max_seconds or set data/long_segments to "split"',
        )
    return None
