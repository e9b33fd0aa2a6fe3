"""Cut the running text of a talk at the boundaries of the references, as the IWSLT track does.

Talks come unsegmented in the compression track (https://iwslt.org/2025/model-compression).
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from slimspeech.artifacts import Row, read_text
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import score, talks_of
from slimspeech.languages import WRITTEN_WITHOUT_SPACES


def file_name(talk: str) -> str:
    """{talk}.txt, where a slash in the talk's name becomes %2F and a % becomes %25."""
    return talk.replace("%", "%25").replace("/", "%2F") + ".txt"


def read_talks(folder: str | Path, segments: Sequence[Row]) -> dict[str, str]:
    """The running text of each talk of the manifest, from {talk}.txt with any number of lines.

    A file of blank lines is a talk without translations. Raises InputError naming a file that is
    missing, has no bytes or is not UTF-8.
    """
    texts = {}
    for talk in talks_of(segments):
        path = Path(folder, file_name(talk))
        if not os.path.isfile(path):
            raise InputError(
                f"{path}: does not exist; give a plain text file for each talk of the test set"
            )
        text = read_text(path)
        if not text:
            raise InputError(f"{path}: the file is empty; translate this talk again")
        texts[talk] = " ".join(text.split())
    return texts


def resegment(texts: Mapping[str, str], segments: Sequence[Row], language: str) -> list[Row]:
    """Cut the text of each talk at the references' boundaries: hypothesis rows, one per segment.

    The cuts are those of the lowest word error rate (Matusov et al., 2005), between words, or
    between characters in languages written without spaces, as the track's mwerSegmenter makes them.
    A segment may get no text at all.
    """
    hypotheses: dict[int, str] = {}
    for talk, indices in talks_of(segments).items():
        references = [segments[index]["target"] for index in indices]
        hypotheses |= zip(indices, _cut(texts[talk], references, language), strict=True)
    return [
        {"id": row["id"], "hypothesis": hypotheses[index]} for index, row in enumerate(segments)
    ]


def chrf_of_running_text(texts: Sequence[str], references: Sequence[str], language: str) -> float:
    """chrF (0 to 100) of a talk's text, in any number of pieces, cut as by resegment()."""
    separator = "" if language in WRITTEN_WITHOUT_SPACES else " "
    hypotheses = _cut(separator.join(filter(None, texts)), references, language)
    return score(hypotheses, references, language, ["chrf"])["chrf"]["score"]


def _cut(text: str, references: Sequence[str], language: str) -> list[str]:
    """The part of `text` for each reference."""
    # Imported here, since the rest of this module serves without these packages.
    from mweralign import align_texts
    from mweralign.segmenter import CJSegmenter

    # mweralign takes "###" in a reference for the end of one of several, and crashes on no text.
    lines = [re.sub("#{2,}", "#", " ".join(reference.split())) for reference in references]
    if not text or not any(lines):
        return [text, *[""] * (len(lines) - 1)]
    if language not in WRITTEN_WITHOUT_SPACES:
        return [part.strip() for part in align_texts("\n".join(lines), text).split("\n")]
    characters = CJSegmenter()
    aligned = align_texts(
        "\n".join(" ".join(characters.encode(line)) for line in lines),
        " ".join(characters.encode(text)),
    )
    return [characters.decode(part) for part in aligned.split("\n")]
