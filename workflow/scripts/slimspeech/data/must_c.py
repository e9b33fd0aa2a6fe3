"""Read the layout of MuST-C (Di Gangi et al. 2019): one wav per talk, segments by offset.

FOLDER/data/SPLIT/wav/*.wav, and in FOLDER/data/SPLIT/txt: SPLIT.yaml, a list of
{duration, offset, wav, …} in seconds, and SPLIT.LANGUAGE, one line per entry of that list.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from slimspeech.data.raw_segments import (
    BadSegments,
    RawSegment,
    find_paths,
    line_problems,
    raise_all,
    read_texts,
)
from slimspeech.data.segment_list import entry_problem, read_entries
from slimspeech.errors import InputError

CORPUS = "must-c"
_WANTED = re.compile(r"(^|/)data/([^/]+)/(wav/[^/]+|txt/\2\.[^/]+)$")


def is_wanted(member: str) -> bool:
    """Whether a member of an archive is needed."""
    return bool(_WANTED.search(member))


def find_folders(root: Path) -> list[Path]:
    """The folders at most two levels below `root` that hold data/SPLIT/txt/SPLIT.yaml."""
    files = find_paths(root, "data/*/txt/*.yaml", depth=2)
    return sorted({path.parents[3] for path in files if _is_split(path.parents[1])})


def read_segments(
    root: Path, name: str, languages: Sequence[str], bad: BadSegments
) -> Iterator[RawSegment]:
    """Every segment under `root`: splits by name, segments as in the yaml file.

    `name` is the name of `root` in messages. If `root` holds one folder per pair (en-de, en-fr),
    `languages` must have one target, since segments differ between pairs. A segment's talk is the
    name of its wav without the ending. bad: takes the entries that are no segment, and those whose
    text or wav cannot be used. Raises InputError if a language is missing, or if yaml and texts
    have different lengths.
    """
    folder = _find_folder(root, name, languages)
    for split in sorted(path for path in folder.glob("data/*") if _is_split(path)):
        yield from _read_split(root, split, name, languages, bad)


def _is_split(folder: Path) -> bool:
    return (folder / "txt" / f"{folder.name}.yaml").is_file()


def _find_folder(root: Path, name: str, languages: Sequence[str]) -> Path:
    folders = find_folders(root)
    if len(folders) == 1:
        return folders[0]
    source, *targets = languages
    names = ", ".join(folder.relative_to(root).as_posix() for folder in folders)
    if len(targets) > 1:
        raise InputError(
            f"{name}: holds one corpus per pair ({names}), with different segments; make one "
            "experiment for each of pairs"
        )
    matching = [folder for folder in folders if folder.name == f"{source}-{targets[0]}"]
    if len(matching) != 1:
        raise InputError(
            f"{name}: holds {names}, and it is not clear which one {source}-{targets[0]} needs; "
            "give that folder as data/archive"
        )
    return matching[0]


def _read_split(
    root: Path, folder: Path, name: str, languages: Sequence[str], bad: BadSegments
) -> Iterator[RawSegment]:
    split = folder.name
    txt, wav = folder / "txt", folder / "wav"
    txt_name = f"{name}: {txt.relative_to(root).as_posix()}"
    texts = read_texts(txt, f"{split}.*", languages, txt_name)
    table = f"{txt_name}/{split}.yaml"
    entries = read_entries(txt / f"{split}.yaml", table)
    problems = [
        f"{len(lines)} lines in {split}.{language} but {len(entries)} segments"
        for language, lines in texts.items()
        if len(lines) != len(entries)
    ]
    raise_all(table, problems, "correct the corpus")
    wavs = {path.name for path in wav.iterdir()} if wav.is_dir() else set()
    unusable = line_problems(texts, f"{split}.*") | {
        number: f"entry {number} {problem}"
        for number, entry in enumerate(entries, start=1)
        if (problem := entry_problem(entry, wavs))
    }
    bad.handle(table, [unusable[number] for number in sorted(unusable)], "correct the corpus")
    for index, entry in enumerate(entries, start=1):
        if index in unusable:
            continue
        yield RawSegment(
            talk=Path(entry["wav"]).stem,
            split=split,
            index=index,
            texts={language: lines[index - 1] for language, lines in texts.items()},
            clip=wav / entry["wav"],
            name=f"{table}, entry {index}",
            corpus=CORPUS,
            start=float(entry["offset"]),
            seconds=float(entry["duration"]),
        )
