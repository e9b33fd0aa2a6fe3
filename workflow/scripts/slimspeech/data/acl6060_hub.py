"""Read the copy of ACL 60/60 on the Hugging Face Hub (ymoslem/acl-6060): parquet files.

Each split has one or more files, SPLIT-00000-of-0000N.parquet, with columns index (from 0), audio
({bytes, path}) and text_LANGUAGE. The segments are those of the official archive.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
from tqdm import tqdm

from slimspeech.data.acl6060 import CORPUS, SPLITS, TALKS
from slimspeech.data.raw_segments import (
    BadSegments,
    RawSegment,
    find_paths,
    raise_all,
    text_problem,
)
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

logger = logging.getLogger(__name__)

BATCH = 64  # rows, whose audio is in memory together


def find_files(root: Path, split: str) -> list[Path]:
    """The parquet files of a split, at most two levels below `root`."""
    return find_paths(root, f"{split}-*.parquet", depth=2)


def is_copy(root: Path) -> bool:
    """Whether the folder holds such files."""
    return any(find_files(root, split) for split in SPLITS)


def read_segments(
    root: Path, name: str, scratch: Path, languages: Sequence[str], bad: BadSegments
) -> Iterator[RawSegment]:
    """Every segment: dev then eval, by index. The clips are written into `scratch`.

    `name` is the name of `root` in messages. The copy does not name talks: they are those of the
    official archive if a split has the same number of segments. bad: takes rows without a text or
    audio. Raises InputError if a file is damaged, or a column or an index is missing.
    """
    for split in SPLITS:
        if files := find_files(root, split):
            yield from _read_split(files, f"{name}: {split}", scratch / split, languages, bad)


def _read_split(
    files: list[Path], name: str, scratch: Path, languages: Sequence[str], bad: BadSegments
) -> list[RawSegment]:
    """scratch: its folder's name is that of the split."""
    split = scratch.name
    scratch.mkdir(parents=True, exist_ok=True)
    texts: dict[int, dict[str, str]] = {}
    problems, unusable = [], {}
    for file in files:
        for row in tqdm(_rows(file, languages), desc=file.name, unit="clip"):
            index, audio = row["index"], row["audio"]
            if type(index) is not int:
                problems.append(f"a row has the index {index!r}")
                continue
            number = index + 1
            if number in texts:
                problems.append(f"index {index} is in two rows")
            texts[number] = {
                language: str(row[f"text_{language}"] or "").strip() for language in languages
            }
            for language, text in texts[number].items():
                if problem := text_problem(text):
                    unusable[number] = f"index {index} {problem} in text_{language}"
            data = audio.get("bytes") if isinstance(audio, dict) else None
            if not isinstance(data, bytes) or not data:
                unusable[number] = f"index {index} has no audio"
                continue
            (scratch / f"sent_{number}.wav").write_bytes(data)
    if not problems and sorted(texts) != list(range(1, len(texts) + 1)):
        problems.append(f"{len(texts)} rows, but their indices are not 0 to {len(texts) - 1}")
    raise_all(name, problems, "download the copy again")
    bad.handle(name, list(unusable.values()), "download the copy again")
    talks = _talks(split, len(texts), name)
    return [
        RawSegment(
            talk=talks[number - 1],
            split=split,
            index=number,
            texts=texts[number],
            clip=scratch / f"sent_{number}.wav",
            name=f"{name}, index {number - 1}",
            corpus=CORPUS,
        )
        for number in sorted(texts.keys() - unusable.keys())
    ]


def _rows(file: Path, languages: Sequence[str]) -> Iterator[dict]:
    require_content(file)
    columns = ["index", "audio", *(f"text_{language}" for language in languages)]
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            if missing := [column for column in columns if column not in names]:
                raise InputError(
                    f"{file}: no column {', '.join(missing)}, only {', '.join(names)}; correct "
                    "pairs or download the copy again"
                )
            for batch in table.iter_batches(BATCH, columns=columns):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: damaged ({reason}); download it again") from error


def _talks(split: str, count: int, name: str) -> list[str]:
    official = [talk for talk, size in TALKS[split].items() for _ in range(size)]
    if count == len(official):
        return official
    logger.warning("%s: %d segments instead of %d, so all are one talk", name, count, len(official))
    return [split] * count
