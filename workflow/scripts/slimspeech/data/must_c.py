"""The layout of MuST-C (Di Gangi et al. 2019): talks as one wav each, their segments by offset.

FOLDER/data/SPLIT/wav/*.wav, and in FOLDER/data/SPLIT/txt: SPLIT.yaml, a list of
{duration, offset, wav, …} in seconds, and SPLIT.LANGUAGE, one line for each entry of that list.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from slimspeech.data.archives import is_litter
from slimspeech.data.raw_segments import LONGEST_SECONDS, RawSegment, raise_all, read_lines
from slimspeech.errors import InputError

CORPUS = "must-c"
_WANTED = re.compile(r"(^|/)data/([^/]+)/(wav/[^/]+|txt/\2\.[^/]+)$")
# libyaml's loader is ten times as fast, which tells for 200,000 segments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def is_wanted(member: str) -> bool:
    """Whether a member of an archive is needed."""
    return bool(_WANTED.search(member)) and not is_litter(member)


def find_folders(root: Path) -> list[Path]:
    """The folders under `root`, at most two levels down, that hold data/SPLIT/txt/SPLIT.yaml."""
    found = []
    for folder in [root, *sorted(root.glob("*")), *sorted(root.glob("*/*"))]:
        if any(_is_split(split) for split in folder.glob("data/*")):
            found.append(folder)
    return found


def read_segments(root: Path, name: str, languages: Sequence[str]) -> Iterator[RawSegment]:
    """Every segment under `root`: splits by name, segments as in the yaml file.

    `name` stands in messages for `root`. Where it holds a folder a pair (en-de, en-fr), only one
    target can be asked for, as their segments are not the same. A segment's talk is its wav's
    name without the ending. Raises InputError when a language is not there, when yaml, texts and
    wavs do not agree, or an entry of the yaml is no segment; all problems of a split together.
    """
    folder = _find_folder(root, name, languages)
    for split in sorted(path for path in folder.glob("data/*") if _is_split(path)):
        yield from _read_split(root, split, name, languages)


def _is_split(folder: Path) -> bool:
    return (folder / "txt" / f"{folder.name}.yaml").is_file()


def _find_folder(root: Path, name: str, languages: Sequence[str]) -> Path:
    folders = find_folders(root)
    if len(folders) == 1:
        return folders[0]
    source, *targets = languages
    inside = ", ".join(_inside(root, folder) for folder in folders)
    if len(targets) > 1:
        raise InputError(
            f"{name}: holds a corpus a pair ({inside}), whose segments are not the same; make an "
            "experiment for each of pairs"
        )
    fitting = [folder for folder in folders if folder.name == f"{source}-{targets[0]}"]
    if len(fitting) != 1:
        raise InputError(
            f"{name}: holds {inside}, and which one {source}-{targets[0]} needs is not clear; "
            "give that folder as data/archive"
        )
    return fitting[0]


def _read_split(
    root: Path, folder: Path, name: str, languages: Sequence[str]
) -> Iterator[RawSegment]:
    split = folder.name
    txt, wav = folder / "txt", folder / "wav"
    there = sorted(path.suffix[1:] for path in txt.glob(f"{split}.*") if path.suffix != ".yaml")
    if absent := [language for language in languages if language not in there]:
        raise InputError(
            f"{name}: {_inside(root, txt)} has no {split}.{absent[0]}, only texts in "
            f"{', '.join(there) or 'no language'}; correct pairs or add the text"
        )
    table = f"{name}: {_inside(root, txt)}/{split}.yaml"
    entries = _read_yaml(txt / f"{split}.yaml", table)
    texts = {
        language: read_lines(
            txt / f"{split}.{language}", f"{name}: {_inside(root, txt)}/{split}.{language}"
        )
        for language in languages
    }
    problems = [
        f"{len(lines)} lines in {split}.{language} but {len(entries)} segments"
        for language, lines in texts.items()
        if len(lines) != len(entries)
    ]
    wavs = {path.name for path in wav.iterdir()} if wav.is_dir() else set()
    for number, entry in enumerate(entries, start=1):
        if problem := _entry_problem(entry, wavs):
            problems.append(f"entry {number} {problem}")
    raise_all(table, problems, "mend the corpus")
    for index, entry in zip(count(1), entries):
        yield RawSegment(
            id=f"{split}-{index}",
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


def _read_yaml(path: Path, name: str) -> list[Any]:
    try:
        entries = yaml.load(path.read_bytes(), _Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name}: not valid YAML ({reason}); mend the file") from error
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{name}: not a list of segments; give one {{duration, offset, wav}} each")
    return entries


def _entry_problem(entry: Any, wavs: set[str]) -> str | None:
    keys = ("duration", "offset", "wav")
    if not isinstance(entry, dict) or any(key not in entry for key in keys):
        return "lacks one of duration, offset, wav"
    for key, least in (("duration", "above"), ("offset", "at least")):
        value = entry[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        enough = number and (value > 0 if least == "above" else value >= 0)
        if not enough or value > LONGEST_SECONDS:
            return f"has {key} {value!r}, not a number of seconds {least} 0"
    if not isinstance(entry["wav"], str) or entry["wav"] not in wavs:
        return f"names {entry['wav']!r}, which is not in wav/"
    return None


def _inside(root: Path, path: Path) -> str:
    return str(PurePosixPath(path.relative_to(root)))
