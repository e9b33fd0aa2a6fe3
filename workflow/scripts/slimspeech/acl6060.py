"""The layout of ACL 60/60 (Salesky et al. 2023): one text file a language, one clip a line.

Line K of a text is clip sent_K.wav; K counts through a split. The xml files tell where a talk
begins. They are not all well-formed (bare & in eval), so they are only searched for tags.
"""

import logging
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slimspeech.archives import is_litter
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

CORPUS = "acl6060"
SPLITS = ("dev", "eval")
DEEPEST = 3
NAMED_PROBLEMS = 5

_WANTED = re.compile(r"(^|/)(dev|eval)/(segmented_wavs/gold|text/(txt|xml))/[^/]+$")
_CLIP = re.compile(r"sent_([1-9]\d*)\.wav")
_TAG = re.compile(
    r"<talkid>\s*(?P<talk>[^<]+?)\s*</talkid>"
    r"""|<doc\b[^>]*?\bdocid\s*=\s*["'](?P<doc>[^"']+)["']"""
    r"""|<seg\b[^>]*?\bid\s*=\s*["']\s*(?P<seg>\d+)\s*["']"""
)


@dataclass(frozen=True)
class RawSegment:
    """One segment as a corpus brings it: texts by language code, and a clip not yet looked at."""

    id: str
    talk: str
    split: str
    index: int
    texts: dict[str, str]
    clip: Path
    name: str
    corpus: str


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


def raise_all(where: str, problems: Sequence[str], fix: str) -> None:
    """Raise one InputError naming the first few problems and counting the rest, if any."""
    if not problems:
        return
    for problem in problems:
        logger.error("%s: %s", where, problem)
    named = "; ".join(problems[:NAMED_PROBLEMS])
    more = len(problems) - NAMED_PROBLEMS
    raise InputError(f"{where}: {named}{f'; and {more} more' if more > 0 else ''}; {fix}")


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
        f"{archive}: no dev/ or eval/ with text/txt and segmented_wavs/gold inside; give the "
        "archive of ACL 60/60 or the folder it unpacks to"
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
        language: _read_lines(
            texts / _text_name(folder.name, language),
            f"{archive}: {_inside(root, texts / _text_name(folder.name, language))}",
        )
        for language in languages
    }


def _read_lines(path: Path, name: str) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from error
    # Not splitlines(), which takes rarer characters than the newline for the end of a line.
    lines = [line.removesuffix("\r").strip(" \t\u00a0") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    problems = []
    for number, line in enumerate(lines, start=1):
        if not line:
            problems.append(f"line {number} is empty")
        for character in line:
            if unicodedata.category(character) == "Cc" and character != "\t":
                problems.append(f"line {number} has the control character U+{ord(character):04X}")
                break
    if not lines:
        problems.append("the file is empty")
    raise_all(name, problems, "mend the text")
    return lines


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
