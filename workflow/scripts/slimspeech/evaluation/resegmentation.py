"""Translations in the form of the IWSLT compression track, and scores as the track takes them.

The track takes UTF-8 text, one sentence a line, and the size of the model; it cuts the text anew at
the references' boundaries, since talks come unsegmented (https://iwslt.org/2025/model-compression).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mweralign import align_texts
from mweralign.segmenter import CJSegmenter

from slimspeech.artifacts import Row, write_text
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import align, check_counts, score, talks_of
from slimspeech.languages import WRITTEN_WITHOUT_SPACES

DECLARED = ("weights", "bytes", "quantization", "decoder_layers")


def plain_lines(
    hypothesis_rows: Sequence[Mapping[str, Any]], segments: Sequence[Row]
) -> dict[str, list[str]]:
    """The lines of each talk, one a segment, in the manifest's order; an empty one stays empty.

    Whatever breaks a line within a hypothesis becomes a space, or the lines would not be counted
    alike. Raises InputError when hypotheses and segments do not belong together or there are none.
    """
    texts, references = align(hypothesis_rows, segments)
    check_counts(texts, references)
    return {
        talk: [" ".join(texts[place].split()) for place in places]
        for talk, places in talks_of(segments).items()
    }


def write_lines(lines: Mapping[str, Sequence[str]], file: str | Path, folder: str | Path) -> None:
    """All lines into one file, talk by talk, and those of each talk into `folder`/{talk}.txt."""
    for talk, texts in lines.items():
        write_text(Path(folder, file_name(talk)), _joined(texts))
    write_text(file, "".join(_joined(texts) for texts in lines.values()))


def file_name(talk: str) -> str:
    """{talk}.txt; a slash in it, as talks of a table may have, is written %2F and a % as %25."""
    return talk.replace("%", "%25").replace("/", "%2F") + ".txt"


def declaration(
    pair: str,
    system: str,
    lines: Mapping[str, Sequence[str]],
    size: Mapping[str, Any],
    recipe: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the track wants to be told of a system. size: as in size.json; recipe: a student's."""
    return {
        "pair": pair,
        "system": system,
        **{key: size[key] for key in DECLARED},
        "recipe": recipe,
        "talks": {talk: len(texts) for talk, texts in lines.items()},
    }


def read_talks(folder: str | Path, segments: Sequence[Row]) -> dict[str, str]:
    """The running text of each talk of the manifest, from {talk}.txt with any number of lines.

    A file of blank lines is a talk without translations. Raises InputError naming a file that is
    missing, wholly empty or no UTF-8.
    """
    texts = {}
    for talk in talks_of(segments):
        path = Path(folder, file_name(talk))
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise InputError(
                f"{path}: not there; give a plain text file for each talk of the test set"
            ) from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 ({error}); convert it") from error
        if not text:
            raise InputError(f"{path}: the file is empty; translate this talk again")
        texts[talk] = " ".join(text.split())
    return texts


def resegment(texts: Mapping[str, str], segments: Sequence[Row], language: str) -> list[Row]:
    """Cut the text of each talk to the references: hypothesis rows, one a segment.

    The cuts are those of the least word error rate (Matusov et al., 2005), by words, and by
    characters in languages written without spaces, as the track's mwerSegmenter takes them.
    A segment may get no text at all.
    """
    found: dict[int, str] = {}
    for talk, places in talks_of(segments).items():
        references = [segments[place]["target"] for place in places]
        found |= zip(places, _cut(texts[talk], references, language), strict=True)
    return [{"id": row["id"], "hypothesis": found[place]} for place, row in enumerate(segments)]


def chrf_of_running_text(texts: Sequence[str], references: Sequence[str], language: str) -> float:
    """chrF (0 to 100) of a talk's text, in whatever pieces it comes, cut to the references."""
    between = "" if language in WRITTEN_WITHOUT_SPACES else " "
    text = between.join(filter(None, texts))
    rows = [
        {"id": str(number), "talk": "talk", "target": line}
        for number, line in enumerate(references)
    ]
    cut = [row["hypothesis"] for row in resegment({"talk": text}, rows, language)]
    return score(cut, references, language, ["chrf"])["chrf"]["score"]


def _cut(text: str, references: Sequence[str], language: str) -> list[str]:
    # mweralign takes "###" in a reference for the end of one of several, and crashes on no text.
    lines = [re.sub("#{2,}", "#", " ".join(reference.split())) for reference in references]
    if not text or not any(lines):
        return [text, *[""] * (len(lines) - 1)]
    if language not in WRITTEN_WITHOUT_SPACES:
        cut = align_texts("\n".join(lines), text)
        return [part.strip() for part in cut.split("\n")]
    characters = CJSegmenter()
    cut = align_texts(
        "\n".join(" ".join(characters.encode(line)) for line in lines),
        " ".join(characters.encode(text)),
    )
    return [characters.decode(part) for part in cut.split("\n")]


def _joined(texts: Sequence[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
