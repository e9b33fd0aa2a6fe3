"""Translations as text, subtitles or data, written as they come."""

import json
from collections.abc import Iterable, Sequence
from typing import Protocol, TextIO

from slimspeech.longform.cues import Cue, Layout, cues

FORMATS = ("txt", "srt", "vtt", "tsv", "json", "jsonl")


class Timed(Protocol):
    """A translated utterance: seconds from the start of the talk, and text, which may be empty."""

    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def text(self) -> str: ...


class Writer:
    """Writes one talk to an open text file: all that is given to add(), and what finish() adds.

    form: one of FORMATS. layout: of subtitles. pair: for json, which names the languages.
    """

    def __init__(self, form: str, file: TextIO, layout: Layout, pair: str | None = None):
        if form not in FORMATS:
            raise ValueError(f"the format is one of {', '.join(FORMATS)}, not {form}")
        self.form = form
        self.file = file
        self.layout = layout
        self.pair = pair
        self._cues = 0
        self._kept: list[Timed] = []  # json is one object, so it is written in the end
        if form == "vtt":
            file.write("WEBVTT\n\n")
        elif form == "tsv":
            file.write("start\tend\ttext\n")

    def add(self, utterance: Timed) -> None:
        """Those without text are in jsonl and json alone."""
        if self.form == "json":
            self._kept.append(utterance)
        elif self.form == "jsonl":
            self.file.write(json.dumps(_row(utterance), ensure_ascii=False) + "\n")
        elif self.form in ("srt", "vtt"):
            for cue in cues(utterance.start, utterance.end, utterance.text, self.layout):
                self._cues += 1
                self.file.write(_subtitle(cue, self._cues, self.form))
        elif utterance.text and self.form == "txt":
            self.file.write(utterance.text + "\n")
        elif utterance.text:
            start, end = (round(1000 * place) for place in (utterance.start, utterance.end))
            self.file.write(f"{start}\t{end}\t{' '.join(utterance.text.split())}\n")

    def finish(self) -> None:
        """Has to be called once, at the end."""
        if self.form == "json":
            source, target = self.pair.split("-", 1) if self.pair else (None, None)
            between = " " if self.layout.spaces else ""
            talk = {
                "text": between.join(said.text for said in self._kept if said.text),
                "source": source,
                "language": target,
                "segments": [
                    {"id": number, **_row(said)} for number, said in enumerate(self._kept)
                ],
            }
            self.file.write(json.dumps(talk, ensure_ascii=False, indent=2) + "\n")
        self.file.flush()


def write(
    utterances: Iterable[Timed],
    form: str,
    file: TextIO,
    layout: Layout,
    pair: str | None = None,
) -> None:
    """A whole talk. See Writer."""
    writer = Writer(form, file, layout, pair)
    for utterance in utterances:
        writer.add(utterance)
    writer.finish()


def timestamp(seconds: float, mark: str = ",") -> str:
    """ "01:02:03,450"; the mark before the milliseconds is a comma in SRT, a full stop in VTT."""
    milliseconds = round(1000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{mark}{milliseconds % 1000:03d}"


def _subtitle(cue: Cue, number: int, form: str) -> str:
    mark = "," if form == "srt" else "."
    times = f"{timestamp(cue.start, mark)} --> {timestamp(cue.end, mark)}"
    return f"{number}\n{times}\n{_escaped(cue.lines, form)}\n\n"


def _escaped(lines: Sequence[str], form: str) -> str:
    """What a player would take for something else than text."""
    text = "\n".join(lines)
    if form == "vtt":
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("-->", "->")


def _row(said: Timed) -> dict[str, float | str]:
    return {"start": round(said.start, 3), "end": round(said.end, 3), "text": said.text}
