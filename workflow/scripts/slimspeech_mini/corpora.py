"""The mini corpora in the layouts of the real ones: ACL 60/60, CoVoST 2, and the speech that
trains the mini base model. Everything in them follows from a seed, byte for byte."""

import hashlib
import io
import os
import random
import shutil
import wave
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count, groupby, islice
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from slimspeech.artifacts import write_jsonl, write_text
from slimspeech_mini import grammar
from slimspeech_mini.speech import SAMPLING_RATE, TALK_SPEAKERS, Voice, speak, voices

# Segments of each talk, as in the real archive (Salesky et al. 2023).
ARCHIVE_SIZES = {"dev": (107, 82, 66, 108, 105), "eval": (100, 84, 56, 91, 85)}
# Of the archive for the study: the speakers of each part, who speak in no other part, and the
# segments of its talks. The parts are those of config/study.yaml: training, validation, test.
STUDY_PARTS = (
    ("dev", TALK_SPEAKERS[:4], (43,) * 14),
    ("dev", TALK_SPEAKERS[4:6], (20,) * 10),
    ("eval", TALK_SPEAKERS[6:], (100,) * 30),
)
# More than the mini base model has heard (30,000) or read (38,400).
BASE_SENTENCES = 60_000
SHORTEST, LONGEST = 0.5, 5.8  # seconds; the mini model's window is 6
LANGUAGES = {"en": "English", "de": "German", "zh": "Chinese"}

_COVOST_RATE = 48000
_COVOST_VOICES = 60
_BASE_VOICES = 120
_BASE_SHARES = (0.65, 0.2, 0.15)  # talk without terms, talk with terms, everyday
_README = """Mini ACL 60/60. Synthetic: sentences from a small grammar, spoken by eSpeak NG.
No person's voice and no real talk is in it. The layout is that of ACL 60/60
(https://aclanthology.org/2023.iwslt-1.2/); nothing of its content is. Public domain (CC0 1.0).
"""


class Talk(NamedTuple):
    """A greeting, more sentences than the talk's `size` segments need, and a thank-you."""

    split: str
    name: str
    size: int
    sentences: list[grammar.Sentence]


class Utterance(NamedTuple):
    """A spoken sentence. samples: int16 at SAMPLING_RATE."""

    sentence: grammar.Sentence
    voice: Voice
    samples: np.ndarray


def archive_talks(
    seed: int,
    sizes: Mapping[str, Sequence[int]] = ARCHIVE_SIZES,
    forbidden: frozenset[str] = frozenset(),
) -> list[Talk]:
    """Draw the talks of the archive, each with spare sentences for those too long or too short.

    No sentence occurs twice, within a talk or across talks, and none is `forbidden`.
    """
    talks = []
    used = set(forbidden)
    for hundred, (split, counts) in enumerate(sizes.items(), start=1):
        for number, size in enumerate(counts, start=100 * hundred + 1):
            sentences = grammar.talk(1000 * seed + number, size + size // 4 + 10, used)
            used.update(sentence.source for sentence in sentences)
            talks.append(Talk(split, f"mini.talk.{number}", size, sentences))
    return talks


def archive_sentences(
    seed: int, sizes: Mapping[str, Sequence[int]] = ARCHIVE_SIZES
) -> list[grammar.Sentence]:
    """All sentences that the archive of this seed may have, with the spare ones, as text."""
    return [sentence for talk in archive_talks(seed, sizes) for sentence in talk.sentences]


def write_archive(
    path: str | Path, seed: int, sizes: Mapping[str, Sequence[int]] = ARCHIVE_SIZES
) -> None:
    """Speak the mini archive: a zip in the layout of ACL 60/60, 16 kHz mono PCM16.

    sizes: the number of segments of each talk, by split. Every talk has one voice. Raises
    ValueError when a talk has too few sentences that last SHORTEST to LONGEST seconds.
    """
    talks = archive_talks(seed, sizes)
    _write_talks(Path(path), seed, talks, voices(seed, len(talks), TALK_SPEAKERS))


def write_study_archive(
    path: str | Path,
    seed: int,
    base_seed: int,
    archive_seed: int,
    parts: Sequence[tuple[str, Sequence[str], Sequence[int]]] = STUDY_PARTS,
) -> None:
    """Speak the archive of the study, in the same layout: many voices and a large evaluation part.

    No speaker and no sentence is in two parts, and the mini base model of `base_seed` knows none of
    them. Raises as write_archive().
    """
    known = islice(reading_sentences(base_seed, archive_seed), BASE_SENTENCES)
    sizes: dict[str, list[int]] = {}
    speakers: list[Voice] = []
    for split, names, counts in parts:
        sizes.setdefault(split, []).extend(counts)
        speakers += voices(seed, len(counts), names)
    forbidden = frozenset(sentence.source for sentence in known)
    _write_talks(Path(path), seed, archive_talks(seed, sizes, forbidden), speakers)


def _write_talks(path: Path, seed: int, talks: Sequence[Talk], speakers: Sequence[Voice]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(partial, "w") as archive,
        tqdm(total=sum(talk.size for talk in talks), desc=path.name, unit="sentence") as bar,
    ):
        _add(archive, "README", _README)
        pairs = zip(talks, speakers, strict=True)
        for split, talks_of_split in groupby(pairs, key=lambda pair: pair[0].split):
            sentences: list[tuple[str, list[grammar.Sentence]]] = []
            numbers = count(1)
            for talk, voice in talks_of_split:
                segments = _segments(talk, voice)
                sentences.append((talk.name, [segment.sentence for segment in segments]))
                clips = [segment.samples for segment in segments]
                full = _with_pauses(clips, random.Random(f"pauses {seed} {talk.name}"))
                _add(archive, f"acl_6060/{split}/full_wavs/{talk.name}.wav", _wav(full))
                for samples in clips:
                    name = f"acl_6060/{split}/segmented_wavs/gold/sent_{next(numbers)}.wav"
                    _add(archive, name, _wav(samples))
                    bar.update()
            for name, text in _texts(split, sentences).items():
                _add(archive, f"acl_6060/{split}/{name}", text)
    os.replace(partial, path)


def write_covost(folder: str | Path, seed: int, size: int = 1500, threads: int = 1) -> None:
    """Speak everyday sentences in the layout of CoVoST 2: 48 kHz mp3, and a table per language."""
    with _replaced(Path(folder)) as partial, ThreadPoolExecutor(threads) as encoders:
        clips = partial / "en" / "clips"
        clips.mkdir(parents=True)
        sentences = grammar.sentences("everyday", seed)
        spoken = _spoken_by_many(sentences, voices(seed, _COVOST_VOICES), f"covost {seed}")

        def encode(number: int, utterance: Utterance) -> tuple[str, grammar.Sentence, str]:
            clip = f"common_voice_en_{number:06d}.mp3"
            samples = utterance.samples.astype(np.float32) / 32768
            samples = soxr.resample(samples, SAMPLING_RATE, _COVOST_RATE)
            soundfile.write(clips / clip, samples, _COVOST_RATE, format="MP3")
            client = hashlib.sha512(repr(utterance.voice).encode()).hexdigest()
            return clip, utterance.sentence, client

        # Encoding takes ten times as long as speaking.
        encoded = encoders.map(encode, range(size), islice(spoken, size))
        rows = list(_with_progress(encoded, size, folder))
        for code, language in (("de", "de"), ("zh-CN", "zh")):
            table = [("path", "sentence", "translation", "client_id")]
            table += [(clip, s.source, s.targets[language], client) for clip, s, client in rows]
            write_text(partial / f"covost_v2.en_{code}.train.tsv", _tsv(table))


def write_base_corpus(
    folder: str | Path, seed: int, size: int, archive_seed: int, held_out: int = 200
) -> None:
    """Speak the training data of the mini base model: 16 kHz FLAC, and a manifest row per language.

    It has sentences of talks, most of them without terms, and everyday ones. It shares no sentence
    with the mini archive of `archive_seed`, and no speaker. The last `held_out` utterances are in
    validation.jsonl, the others in manifest.jsonl.
    """
    folder = Path(folder)
    sentences = reading_sentences(seed, archive_seed)
    speakers = voices(seed, _BASE_VOICES)
    numbers = {voice: number for number, voice in enumerate(speakers)}
    rows = []
    with _replaced(folder) as partial:
        (partial / "audio").mkdir()
        spoken = islice(_spoken_by_many(sentences, speakers, f"base {seed}"), size)
        for number, (sentence, voice, samples) in enumerate(_with_progress(spoken, size, folder)):
            name = f"base-{number:06d}"
            soundfile.write(partial / "audio" / f"{name}.flac", samples, SAMPLING_RATE, "PCM_16")
            rows += [
                {
                    "id": f"{name}.{language}",
                    "talk": f"voice-{numbers[voice]:03d}",
                    "audio": str(folder / "audio" / f"{name}.flac"),
                    "duration": round(len(samples) / SAMPLING_RATE, 3),
                    "source": sentence.source,
                    "target": sentence.targets[language],
                    "pair": f"en-{language}",
                    "origin": "gold",
                    "corpus": "mini-base",
                }
                for language in ("de", "zh")
            ]
        first_held_out = 2 * (size - held_out)
        write_jsonl(partial / "manifest.jsonl", rows[:first_held_out])
        write_jsonl(partial / "validation.jsonl", rows[first_held_out:])


def reading_sentences(seed: int, archive_seed: int) -> Iterator[grammar.Sentence]:
    """An endless stream of sentences like the base corpus, without those of the mini archive."""
    forbidden = {sentence.source for sentence in archive_sentences(archive_seed)}
    return (s for s in _base_sentences(seed) if s.source not in forbidden)


def _base_sentences(seed: int) -> Iterator[grammar.Sentence]:
    """Three streams in fixed shares. The archive's technical terms are rare in them."""
    draw = random.Random(f"base sentences {seed}")
    streams = [
        grammar.sentences("talk", seed, terms=False),
        grammar.sentences("talk", seed + 1),
        grammar.sentences("everyday", seed),
    ]
    seen: set[str] = set()
    while True:
        [stream] = draw.choices(streams, _BASE_SHARES)
        sentence = next(stream)
        if sentence.source not in seen:
            seen.add(sentence.source)
            yield sentence


def _speakable(lines: Iterable[tuple[grammar.Sentence, Voice]]) -> Iterator[Utterance]:
    """Speak the lines, and leave out those not of SHORTEST to LONGEST seconds."""
    for sentence, voice in lines:
        samples = speak(sentence.source, voice)
        if SHORTEST <= len(samples) / SAMPLING_RATE <= LONGEST:
            yield Utterance(sentence, voice, samples)


def _segments(talk: Talk, voice: Voice) -> list[Utterance]:
    """Speak the talk: its first sentences of a fitting length, then its last one."""
    *body, thanks = ((sentence, voice) for sentence in talk.sentences)
    closing = list(_speakable([thanks]))
    segments = [*islice(_speakable(body), talk.size - len(closing)), *closing]
    if len(segments) < talk.size:
        raise ValueError(
            f"{talk.name}: too few sentences of a fitting length; draw more spare ones"
        )
    return segments


def _spoken_by_many(
    sentences: Iterable[grammar.Sentence], speakers: Sequence[Voice], seed: str
) -> Iterator[Utterance]:
    draw = random.Random(seed)
    return _speakable((sentence, draw.choice(speakers)) for sentence in sentences)


def _with_progress(items: Iterable, total: int, folder: str | Path) -> Iterable:
    return tqdm(items, total=total, desc=Path(folder).name, unit="sentence", mininterval=1)


def _with_pauses(segments: Iterable[np.ndarray], draw: random.Random) -> np.ndarray:
    """Join the segments, with 0.3 to 1.0 s of silence before each and after the last."""

    def pause() -> np.ndarray:
        return np.zeros(round(draw.uniform(0.3, 1.0) * SAMPLING_RATE), np.int16)

    pieces = [piece for segment in segments for piece in (pause(), segment)]
    return np.concatenate([*pieces, pause()])


def _wav(samples: np.ndarray) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLING_RATE)
        file.writeframes(samples.astype("<i2").tobytes())
    return data.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    """Add a file dated 1980, so that the archive does not depend on the machine or the day."""
    entry = zipfile.ZipInfo(f"2/{name}")
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def _texts(split: str, talks: list[tuple[str, list[grammar.Sentence]]]) -> dict[str, str]:
    """The text files of a split by their path in it."""
    files = {"FILE_ORDER": "".join(f"{name}\n" for name, _ in talks)}
    for code in LANGUAGES:
        lines = [
            (name, [({"en": s.source} | s.targets)[code] for s in sentences])
            for name, sentences in talks
        ]
        stem = f"ACL.6060.{split}.en-xx.{code}"
        flat = [line for _, talk_lines in lines for line in talk_lines]
        files[f"text/txt/{stem}.txt"] = "".join(f"{line}\n" for line in flat)
        files[f"text/xml/{stem}.xml"] = _xml(split, code, lines)
    return files


def _xml(split: str, code: str, talks: list[tuple[str, list[str]]]) -> str:
    """The mteval format. The numbers of segments run through the whole split."""
    kind = "srcset" if code == "en" else "refset"
    target = "" if code == "en" else f' trglang="{LANGUAGES[code]}" refid="ref"'
    xml = ['<?xml version="1.0" encoding="UTF-8"?>', "<mteval>"]
    xml.append(f'<{kind} setid="mini-ACL{split}2023" srclang="English"{target}>')
    number = 0
    for name, lines in talks:
        xml += [f'<doc docid="{name}" genre="presentations">', f"<talkid>{name}</talkid>"]
        for line in lines:
            number += 1
            xml.append(f'<seg id="{number}">{escape(line)}</seg>')
        xml.append("</doc>")
    return "\n".join([*xml, f"</{kind}>", "</mteval>", ""])


def _tsv(rows: Iterable[Sequence[str]]) -> str:
    """Tab-separated and unquoted, as in CoVoST 2. No sentence has a tab."""
    return "".join("\t".join(row) + "\n" for row in rows)


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """A new folder that replaces `folder` when the context ends without an error."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
