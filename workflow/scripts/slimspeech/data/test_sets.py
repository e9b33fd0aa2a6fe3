"""Read a test set of the IWSLT compression track as the organisers give it.

A test set is a folder of wavs with a file FILE_ORDER, which has the name of one wav on each line,
and perhaps a list of segments in YAML. The order of segments is that of the organisers' script
(https://github.com/hlt-mt/iwslt-modelcompression, 2027): wavs as in FILE_ORDER, and the segments of
a wav as in the list. Without a list, a segment is a whole wav.
"""

import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from slimspeech.artifacts import Row, read_text, write_directory
from slimspeech.data.raw_segments import (
    WHOLE_SET,
    BadSegments,
    RawSegment,
    find_paths,
    raise_all,
    read_lines,
)
from slimspeech.data.segment_list import entry_problem, read_entries
from slimspeech.data.segments import DataSettings, write_segments
from slimspeech.errors import InputError

FILE_ORDER = "FILE_ORDER"
DEEPEST = 3
# Every segment is one line of a submission, so none is refused or left out for its length.
ANY_LENGTH = DataSettings(
    max_seconds=float("inf"), min_seconds=0, long_segments="split", bad_segments="fail"
)
SGML = (".xml", ".sgm", ".sgml")
_TAG = re.compile(r"(?P<doc><doc\b)|<seg\b[^>]*?(?:/>|>(?P<text>.*?)</seg>)", re.S | re.I)
_OPENING = re.compile(r"<seg\b", re.I)


def prepare_test_set(
    folder: str | Path, name: str, segment_list: str | Path | None, audio_folder: str | Path
) -> list[Row]:
    """Write each segment of read_segments() as a 16 kHz clip; returns rows as of segments.jsonl.

    Raises InputError as read_segments() and for clips that cannot be read.
    """
    segments = read_segments(folder, name, segment_list)
    rows: list[Row] = []

    def write(partial: Path) -> None:
        bad = BadSegments(drop=None)
        rows.extend(
            write_segments(segments, partial, Path(audio_folder), str(folder), ANY_LENGTH, bad)
        )

    write_directory(audio_folder, write)
    return rows


def read_segments(
    folder: str | Path, name: str, segment_list: str | Path | None = None
) -> list[RawSegment]:
    """The segments in the organisers' order; a segment's talk is its wav without the ending.

    name: of the test set. segment_list: the path of the YAML file. FILE_ORDER is needed where there
    are several wavs; a name in it may be a path from the folder, and may lack the ending. Raises
    InputError for a folder without wavs, and if FILE_ORDER, list and wavs do not match.
    """
    folder = Path(folder)
    wavs = {
        path.relative_to(folder).as_posix(): path
        for path in find_paths(folder, "*.[wW][aA][vV]", DEEPEST)
    }
    if not wavs:
        raise InputError(f"{folder}: no wavs in this folder; give the folder of the test set")
    if segment_list is None:
        parts = [(wav, 0.0, None) for wav in _file_order(folder, wavs)]
    else:
        parts = _listed(Path(segment_list), folder, wavs)
    return [
        RawSegment(
            talk=str(PurePosixPath(wav).with_suffix("")),
            split=name,
            index=index,
            texts={},
            clip=wavs[wav],
            name=f"{folder}/{wav}",
            corpus=name,
            start=start,
            seconds=seconds,
        )
        for index, (wav, start, seconds) in enumerate(parts, start=1)
    ]


def _file_order(folder: Path, wavs: Mapping[str, Path], whole: bool = True) -> list[str]:
    """The wavs in the order of FILE_ORDER. whole: all must be listed; else the others come last."""
    if len(wavs) == 1:
        return list(wavs)
    path = folder / FILE_ORDER
    if not path.is_file():
        raise InputError(
            f"{folder}: no file {FILE_ORDER}, which gives the order of the {len(wavs)} wavs; get "
            "the whole test set"
        )
    by_name = defaultdict(list)
    for wav in sorted(wavs):
        file = PurePosixPath(wav)
        for key in {wav, file.name, str(file.with_suffix("")), file.stem}:
            by_name[key].append(wav)
    order: dict[str, None] = {}
    problems = []
    for number, entry in enumerate(read_text(path).split("\n"), start=1):
        entry = entry.strip()
        # Wavs of one name in several folders come in turn, as in the organisers' script.
        matching = [entry] * (entry in wavs) + by_name[entry]
        wav = next((wav for wav in matching if wav not in order), None)
        if wav is not None:
            order[wav] = None
        elif entry:
            reason = "listed before" if matching else "not in the folder"
            problems.append(f"line {number} names {entry!r}, which is {reason}")
    others = [wav for wav in sorted(wavs) if wav not in order]
    if others and whole:
        problems.append(f"{len(others)} wavs are not listed, the first is {others[0]}")
    raise_all(str(path), problems, "get the whole test set or correct the file")
    return [*order, *others]


def _listed(
    segment_list: Path, folder: Path, wavs: Mapping[str, Path]
) -> list[tuple[str, float, float]]:
    """(wav, offset, duration) of each segment of the list, the wavs in the order of FILE_ORDER."""
    name = str(segment_list)
    if not segment_list.is_file():
        raise InputError(f"{name}: does not exist; give the list of segments of the test set")
    entries = read_entries(segment_list, name)
    raise_all(
        name,
        [
            f"entry {number} {problem}"
            for number, entry in enumerate(entries, start=1)
            if (problem := entry_problem(entry, wavs, str(folder)))
        ],
        "correct the list or get the whole test set",
    )
    order = [entries[0]["wav"]]
    if any(entry["wav"] != order[0] for entry in entries):
        order = _file_order(folder, wavs, whole=False)
    places = {wav: place for place, wav in enumerate(order)}
    return [
        (entry["wav"], float(entry["offset"]), float(entry["duration"]))
        for entry in sorted(entries, key=lambda entry: places[entry["wav"]])
    ]


def reference_rows(
    segments: Sequence[Row], pair: str, target: str | Path, source: str | Path | None
) -> list[Row]:
    """A manifest of the references, which need not be divided as the segments are.

    segments: rows of the test set. target, source: paths of the reference translation and of the
    transcript, as plain text with one sentence a line or as the xml or sgm of IWSLT and WMT. If the
    text shows which talk a line belongs to (as many lines as segments, or as many documents as
    talks), a row has that talk; else all rows have one talk, WHOLE_SET. Raises InputError if a text
    cannot be read or target and source have different numbers of lines.
    """
    targets = _read_documents(Path(target))
    sources = _read_documents(Path(source)) if source else None
    if sources is not None and len(sources) != len(targets):
        raise InputError(
            f"{source}: {len(sources)} lines, but {target} has {len(targets)}; give texts that are "
            "parallel"
        )
    talks = list(dict.fromkeys(row["talk"] for row in segments))
    documents = max(document for document, _ in targets) + 1
    rows = []
    for index, (document, text) in enumerate(targets):
        talk = WHOLE_SET
        if len(targets) == len(segments):
            talk = segments[index]["talk"]
        elif documents == len(talks):
            talk = talks[document]
        row = {"id": str(index + 1), "talk": talk, "pair": pair, "target": text}
        rows.append(row if sources is None else row | {"source": sources[index][1]})
    return rows


def _read_documents(path: Path) -> list[tuple[int, str]]:
    """(number of the document, text) of each line; a plain text is one document."""
    if not path.is_file():
        raise InputError(f"{path}: does not exist; give the references of the test set")
    if path.suffix.lower() not in SGML:
        return [(0, line) for line in read_lines(path, str(path))]  # an empty line is a reference
    lines = []
    document = -1
    text = read_text(path)
    for tag in _TAG.finditer(text):
        if tag["doc"]:
            document += 1
        else:  # an empty <seg/> is a reference too
            words = html.unescape(tag["text"] or "").split()
            lines.append((max(document, 0), " ".join(words)))
    if not lines:
        raise InputError(f"{path}: no <seg> in this xml; give the references of the test set")
    if (count := len(_OPENING.findall(text))) != len(lines):
        raise InputError(
            f"{path}: {count} <seg> begin and {len(lines)} end; get the references again"
        )
    return lines
