"""ACL 60/60 as its copy on the Hugging Face Hub has it (ymoslem/acl-6060): parquet files.

One file or more a split, named SPLIT-00000-of-0000N.parquet; columns index (from 0), audio
({bytes, path}) and text_LANGUAGE. What it gives is what the official archive gives.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
from tqdm import tqdm

from slimspeech.data.acl6060 import CORPUS, SPLITS, TALKS
from slimspeech.data.raw_segments import RawSegment, raise_all, text_problem
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

BATCH = 64  # rows; the audio of that many is in memory


def find_files(root: Path, split: str) -> list[Path]:
    """The parquet files of a split, up to two folders below `root`, in none that is hidden."""
    return sorted(
        path
        for depth in ("", "*/", "*/*/")  # rglob would not follow a link to a folder
        for path in root.glob(f"{depth}{split}-*.parquet")
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def is_copy(root: Path) -> bool:
    """Whether the folder holds such files."""
    return any(find_files(root, split) for split in SPLITS)


def read_segments(
    root: Path, name: str, scratch: Path, languages: Sequence[str]
) -> Iterator[RawSegment]:
    """Every segment: dev then eval, by index. The clips are written into `scratch`.

    `name` stands in messages for `root`. The copy does not say which talk a segment is of: the
    talks are those of the official archive, if a split has as many segments as there.
    Raises InputError when a file is damaged, or a column, a text or an index is missing.
    """
    for split in SPLITS:
        if files := find_files(root, split):
            yield from _read_split(files, split, name, scratch / split, languages)


def _read_split(
    files: list[Path], split: str, name: str, scratch: Path, languages: Sequence[str]
) -> list[RawSegment]:
    scratch.mkdir(parents=True, exist_ok=True)
    texts: dict[int, dict[str, str]] = {}
    problems = []
    for file in files:
        for row in tqdm(_rows(file, languages), desc=file.name, unit="clip"):
            number = row["index"] + 1
            found = {language: (row[f"text_{language}"] or "").strip() for language in languages}
            for language, text in found.items():
                if problem := text_problem(text):
                    problems.append(f"index {row['index']} {problem} in text_{language}")
            if number in texts:
                problems.append(f"index {row['index']} is there twice")
            if not row["audio"] or not row["audio"]["bytes"]:
                problems.append(f"index {row['index']} has no audio")
                continue
            texts[number] = found
            (scratch / f"sent_{number}.wav").write_bytes(row["audio"]["bytes"])
    if not problems and sorted(texts) != list(range(1, len(texts) + 1)):
        problems.append(f"{len(texts)} rows, but their indices are not 0 to {len(texts) - 1}")
    where = f"{name}: {split}"
    raise_all(where, problems, "download the copy again")
    talks = _talks(split, len(texts), where)
    return [
        RawSegment(
            id=f"{split}-{number}",
            talk=talks[number - 1],
            split=split,
            index=number,
            texts=texts[number],
            clip=scratch / f"sent_{number}.wav",
            name=f"{where}, index {number - 1}",
            corpus=CORPUS,
        )
        for number in sorted(texts)
    ]


def _rows(file: Path, languages: Sequence[str]) -> Iterator[dict]:
    columns = ["index", "audio", *(f"text_{language}" for language in languages)]
    try:
        with pyarrow.parquet.ParquetFile(file) as table:
            there = table.schema_arrow.names
            if absent := [column for column in columns if column not in there]:
                raise InputError(
                    f"{file}: no column {', '.join(absent)}, only {', '.join(there)}; correct "
                    "pairs or download the copy again"
                )
            for batch in table.iter_batches(BATCH, columns=columns):
                yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{file}: damaged ({reason}); download it again") from error


def _talks(split: str, count: int, where: str) -> list[str]:
    official = [talk for talk, size in TALKS[split].items() for _ in range(size)]
    if count == len(official):
        return official
    logger.warning(
        "%s: %d segments and not %d, so all counts as one talk", where, count, len(official)
    )
    return [split] * count
