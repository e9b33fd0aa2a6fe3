"""The layout of ACL 60/60 (Salesky et al. 2023): one text file a language, one clip a line.

Line K of a text is clip sent_K.wav; K counts through a split. The xml files tell where a talk
begins. They are not all well-formed (bare & in eval), so they are only searched for tags.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from slimspeech.data.archives import is_litter
from slimspeech.data.raw_segments import RawSegment, raise_all, read_lines
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

CORPUS = "acl6060"
SPLITS = ("dev", "eval")
# The talks of the official archive in order (its FILE_ORDER), and the gold segments of each.
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
    """Whether a member of the archive is needed: gold clips, plain texts, xml."""
    return bool(_WANTED.search(member)) and not is_litter(member)


def read_segments(root: Path, archive: str, languages: Sequence[str]) -> Iterator[RawSegment]:
    """Every segment under `root` in the order of the archive: dev then eval, K ascending.

    `archive` stands in messages for `root`. Only `languages` (codes of the file names) are read.
    Raises InputError when the layout is not there, a language is not, or when lines, clips and
    xml do not agree; all problems of a split are told together.
    """
    base = _find_base(root, archive)
    for split in SPLITS:
        if (base / split).is_dir():
            yield from _read_split(root, base / split, archive, languages)


def _find_base(root: Path, archive: str) -> Path:
    """The folder that holds dev/ or eval/."""
    found = []
    level = [root]
    for _ in range(DEEPEST + 1):
        found += [folder for folder in level if any(_is_split(folder / name) for name in SPLITS)]
        level = [
            inner
            for folder in level
            for inner in sorted(folder.iterdir())
            if inner.is_dir() and not inner.name.startswith(".") and not is_litter(inner.name)
        ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(folder.relative_to(root)) for folder in found)
        raise InputError(f"{archive}: holds ACL 60/60 more than once ({names}); leave one of them")
    raise InputError(
        f"{archive}: no dev/ or eval/ with text/txt and segmented_wavs/gold inside, and no other "
        "layout that docs/own-corpus.md names; give the archive of ACL 60/60 or the folder it "
        "unpacks to, or a corpus in one of those layouts"
    )


def _is_split(folder: Path) -> bool:
    return (folder / "text").is_dir() or (folder / "segmented_wavs").is_dir()


def _read_split(
    root: Path, folder: Path, archive: str, languages: Sequence[str]
) -> Iterator[RawSegment]:
    split = folder.name
    where = f"{archive}: {_inside(root, folder)}"
    gold = folder / "segmented_wavs" / "gold"
    clips = {
        int(match[1]): path
        for path in (gold.iterdir() if gold.is_dir() else ())
        if (match := _CLIP.fullmatch(path.name))
    }
    texts = _read_texts(root, folder, archive, languages)
    talks = _read_talks(folder, languages)

    problems = []
    source = languages[0]
    count = len(texts[source])
    for language in languages[1:]:
        if len(texts[language]) != count:
            problems.append(
                f"{len(texts[language])} lines in {_text_name(split, language)} but {count} in "
                f"{_text_name(split, source)}"
            )
    problems += _disagreement(f"lines in {_text_name(split, source)}", count, "clips", set(clips))
    if talks is not None:
        problems += _disagreement(
            f"lines in {_text_name(split, source)}", count, "xml segments", set(talks)
        )
    raise_all(where, problems, "get a whole copy of the archive")
    if talks is None:
        logger.warning("%s: no xml tells the talks; all of %s counts as one talk", where, split)
        talks = dict.fromkeys(range(1, count + 1), split)

    for index in range(1, count + 1):
        yield RawSegment(
            id=f"{split}-{index}",
            talk=talks[index],
            split=split,
            index=index,
            texts={language: texts[language][index - 1] for language in languages},
            clip=clips[index],
            name=f"{archive}: {_inside(root, clips[index])}",
            corpus=CORPUS,
        )


def _disagreement(what: str, count: int, others: str, indices: set[int]) -> list[str]:
    lines = set(range(1, count + 1))
    if indices == lines:
        return []
    problem = f"{count} {what} but {len(indices)} {others}"
    if missing := lines - indices:
        problem += f", the first without one is {min(missing)}"
    if surplus := indices - lines:
        problem += f", the first without a line is {min(surplus)}"
    return [problem]


def _text_name(split: str, language: str) -> str:
    return f"ACL.6060.{split}.en-xx.{language}.txt"


def _read_texts(
    root: Path, folder: Path, archive: str, languages: Sequence[str]
) -> dict[str, list[str]]:
    texts = folder / "text" / "txt"
    there = sorted(path.name.split(".")[-2] for path in texts.glob(_text_name(folder.name, "*")))
    if absent := [language for language in languages if language not in there]:
        raise InputError(
            f"{archive}: {_inside(root, texts)} has no text in {', '.join(absent)}, only in "
            f"{', '.join(there) or 'none'}; correct pairs or get a whole copy of the archive"
        )
    return {
        language: read_lines(
            texts / _text_name(folder.name, language),
            f"{archive}: {_inside(root, texts / _text_name(folder.name, language))}",
        )
        for language in languages
    }


def _read_talks(folder: Path, languages: Sequence[str]) -> dict[int, str] | None:
    """Talk of each K by the xml of the source or else the first there is; None without any.

    A K before any talk gets the name of the split.
    """
    files = sorted(
        (path for path in (folder / "text" / "xml").glob("*.xml") if not is_litter(path.name)),
        key=lambda path: (path.name.split(".")[-2] != languages[0], path.name),
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


def _inside(root: Path, path: Path) -> str:
    return str(PurePosixPath(path.relative_to(root)))
