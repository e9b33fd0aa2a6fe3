"""Read ACL 60/60 (Salesky et al. 2023): one text file per language, one clip per line.

Line K of a text is clip sent_K.wav; K counts through a split. The xml files say where a talk
begins. Not all of them are well-formed (bare & in eval), so they are only searched for tags.
"""

import logging
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
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

CORPUS = "acl6060"
SPLITS = ("dev", "eval")
# The talks of the official archive in order (its FILE_ORDER), and their numbers of gold segments.
TALKS = {
    "dev": {
        "2022.acl-long.268": 107,
        "2022.acl-long.367": 82,
        "2022.acl-long.590": 66,
        "2022.acl-long.110": 108,
        "2022.acl-long.117": 105,
    },
    "eval": {
        "2022.acl-long.410": 100,
        "2022.acl-long.468": 84,
        "2022.acl-long.567": 56,
        "2022.acl-long.597": 91,
        "2022.acl-long.111": 85,
    },
}
DEEPEST = 3

_WANTED = re.compile(r"(^|/)(dev|eval)/(segmented_wavs/gold|text/(txt|xml))/[^/]+$")
_CLIP = re.compile(r"sent_([1-9]\d*)\.wav")
_TAG = re.compile(
    r"<talkid>\s*(?P<talk>[^<]+?)\s*</talkid>"
    r"""|<doc\b[^>]*?\bdocid\s*=\s*["'](?P<doc>[^"']+)["']"""
    r"""|<seg\b[^>]*?\bid\s*=\s*["']\s*(?P<seg>\d+)\s*["']"""
)


def is_wanted(member: str) -> bool:
    """Whether a member of the archive is a gold clip, a plain text or an xml file."""
    return bool(_WANTED.search(member))


def read_segments(
    root: Path, archive: str, languages: Sequence[str], bad: BadSegments
) -> Iterator[RawSegment]:
    """Every segment under `root` in the order of the archive: dev then eval, K ascending.

    `archive` is the name of `root` in messages. languages: codes as in the file names. bad: takes
    the lines that cannot be used. Raises InputError if `root` has another layout, a language is
    missing, or lines, clips and xml do not match.
    """
    base = _find_base(root, archive)
    for split in SPLITS:
        if (base / split).is_dir():
            yield from _read_split(root, base / split, archive, languages, bad)


def _find_base(root: Path, archive: str) -> Path:
    """The folder that holds dev/ or eval/."""
    folders = {
        path.parents[1]
        for split in SPLITS
        for inner in ("text", "segmented_wavs")
        for path in find_paths(root, f"{split}/{inner}", DEEPEST)
    }
    if len(folders) == 1:
        return folders.pop()
    if folders:
        names = ", ".join(sorted(str(folder.relative_to(root)) for folder in folders))
        raise InputError(f"{archive}: holds ACL 60/60 more than once ({names}); leave one of them")
    raise InputError(
        f"{archive}: no dev/ or eval/ with text/txt and segmented_wavs/gold inside, and no other "
        "layout that docs/own-corpus.md names; give the archive of ACL 60/60 or the folder it "
        "unpacks to, or a corpus in one of those layouts"
    )


def _read_split(
    root: Path, folder: Path, archive: str, languages: Sequence[str], bad: BadSegments
) -> Iterator[RawSegment]:
    split = folder.name
    name = f"{archive}: {folder.relative_to(root).as_posix()}"
    gold = folder / "segmented_wavs" / "gold"
    clips = {
        int(match[1]): path
        for path in (gold.iterdir() if gold.is_dir() else ())
        if (match := _CLIP.fullmatch(path.name))
    }
    pattern = f"ACL.6060.{split}.en-xx.*.txt"
    texts = read_texts(folder / "text" / "txt", pattern, languages, f"{name}/text/txt")
    talks = _read_talks(folder, languages)

    count = len(texts[languages[0]])
    source_name = pattern.replace("*", languages[0])
    problems = [
        f"{len(lines)} lines in {pattern.replace('*', language)} but {count} in {source_name}"
        for language, lines in texts.items()
        if len(lines) != count
    ]
    lines = f"{count} lines in {source_name}"
    problems += _mismatch(lines, count, "clips", set(clips))
    if talks is not None:
        problems += _mismatch(lines, count, "xml segments", set(talks))
    raise_all(name, problems, "get a whole copy of the archive")
    unusable = line_problems(texts, pattern)
    bad.handle(f"{name}/text/txt", list(unusable.values()), "correct the text")
    if talks is None:
        logger.warning("%s: no xml file names talks, so all of %s is one talk", name, split)
        talks = dict.fromkeys(range(1, count + 1), split)

    for index in sorted(set(range(1, count + 1)) - unusable.keys()):
        yield RawSegment(
            talk=talks[index],
            split=split,
            index=index,
            texts={language: texts[language][index - 1] for language in languages},
            clip=clips[index],
            name=f"{name}/segmented_wavs/gold/{clips[index].name}",
            corpus=CORPUS,
        )


def _mismatch(lines: str, count: int, others: str, indices: set[int]) -> list[str]:
    """The problem, if any, with the indices of clips or xml segments for `count` lines."""
    expected = set(range(1, count + 1))
    if indices == expected:
        return []
    problem = f"{lines} but {len(indices)} {others}"
    if missing := expected - indices:
        problem += f", the first without one is {min(missing)}"
    if surplus := indices - expected:
        problem += f", the first without a line is {min(surplus)}"
    return [problem]


def _read_talks(folder: Path, languages: Sequence[str]) -> dict[int, str] | None:
    """The talk of each K, from the xml of the source or else the first xml; None without any.

    A K before any talk gets the name of the split.
    """
    files = sorted(
        filter(Path.is_file, find_paths(folder / "text" / "xml", "*.xml", depth=0)),
        key=lambda path: path.name.split(".")[-2] != languages[0],
    )
    if not files:
        return None
    talks = {}
    talk = folder.name
    text = files[0].read_bytes().decode("utf-8", errors="replace")
    for tag in _TAG.finditer(text):
        if tag["seg"]:
            talks[int(tag["seg"])] = talk
        else:
            talk = tag["talk"] or tag["doc"]
    return talks
