"""slimspeech translate: audio to text, subtitles or data."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from slimspeech.cli.inputs import Talk, find_talks, is_pipe, opened
from slimspeech.cli.options import (
    add_console_options,
    add_model_options,
    add_segmentation_options,
    add_server_options,
    add_subtitle_options,
    layout_of,
    load_translator,
    segmentation_of,
    started_engine,
)
from slimspeech.errors import InputError, ServerError
from slimspeech.formatting import printable
from slimspeech.longform.subtitles import FORMATS, Writer

if TYPE_CHECKING:
    from slimspeech.longform.segmentation import SegmentationSettings
    from slimspeech.longform.translator import Translator

logger = logging.getLogger(__name__)

ALL = "all"


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "translate",
        help="translate audio files to text or subtitles",
        description="Translate audio of any length. The translation of one file goes to standard "
        "output, those of several files to the output folder.",
    )
    parser.add_argument(
        "audio",
        nargs="+",
        metavar="AUDIO",
        help="file (wav, flac, ogg, opus, mp3, …), folder, or - for standard input",
    )
    parser.add_argument(
        "--model",
        "-m",
        required=True,
        metavar="DIR",
        help="directory of a model, such as results/mini/en-de/students/A/packed",
    )
    parser.add_argument(
        "--output-format",
        "--format",
        "-f",
        choices=(*FORMATS, ALL),
        default="txt",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}, or {ALL} of them (default: txt)",
    )
    parser.add_argument(
        "--output-dir",
        "-o",
        metavar="DIR",
        help="output folder (default: standard output for one file, else the current folder)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="skip files whose output exists"
    )
    add_console_options(parser)
    add_model_options(parser)
    add_server_options(parser)
    add_segmentation_options(parser)
    add_subtitle_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 if all files were translated, 1 if some could not be read; each gets an error message."""
    folder = _output_folder(arguments)
    segmentation = segmentation_of(arguments)
    talks = find_talks(arguments.audio)
    if folder is not None and arguments.skip_existing:
        talks = [
            talk
            for talk in talks
            if talk.problem
            or not all(map(os.path.isfile, _output_files(talk, folder, arguments).values()))
        ]
    readable = [talk for talk in talks if _is_readable(talk)]
    if not readable:
        return 1 if talks else 0
    failures = len(talks) - len(readable)
    with started_engine(arguments):
        translator = load_translator(arguments, arguments.model)
        for talk in readable:
            try:
                with opened(talk) as path, _writers(talk, folder, arguments, translator) as writers:
                    _translate(translator, path, talk, segmentation, writers, arguments.quiet)
            except InputError as error:
                logger.error("%s", error)
                failures += 1
    return 1 if failures else 0


def _translate(
    translator: "Translator",
    path: Path,
    talk: Talk,
    segmentation: "SegmentationSettings",
    writers: Sequence[Writer],
    quiet: bool,
) -> None:
    from tqdm import tqdm

    from slimspeech.data.audio import read_header

    seconds = read_header(path, talk.name).seconds  # None if the header does not say it
    known = "{percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s [{elapsed}, {remaining} left]"
    count = 0
    with tqdm(
        total=seconds,
        desc=Path(talk.name).name,
        unit="s",
        bar_format="{desc}: " + ("{n:.0f} s [{elapsed}]" if seconds is None else known),
        disable=True if quiet else None,  # None: disabled if stderr is not a terminal
    ) as bar:
        for utterance in translator.translate(path, segmentation, talk.name):
            count += 1
            for writer in writers:
                writer.add(utterance)
                writer.file.flush()
            bar.update(min(utterance.end, seconds or inf) - bar.n)
        bar.update((seconds or bar.n) - bar.n)
    if not count:
        logger.warning("%s: no speech found; lower --vad-threshold or try --no-vad", talk.name)


def _output_folder(arguments: argparse.Namespace) -> Path | None:
    """None for standard output."""
    if arguments.output_dir is None:
        several = len(arguments.audio) > 1 or os.path.isdir(arguments.audio[0])
        return Path(".") if several or arguments.output_format == ALL else None
    folder = Path(arguments.output_dir)
    if os.path.isfile(folder) or folder.suffix.removeprefix(".") in FORMATS:
        raise InputError(
            f"--output-dir {folder}: must be a folder; to write one talk to a file, redirect: "
            f"… > {folder}"
        )
    return folder


def _output_files(talk: Talk, folder: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """The output files of a talk, by format."""
    form = arguments.output_format
    # with_suffix would replace ".2" of "talk.2".
    return {
        form: folder / talk.output.with_name(f"{talk.output.name}.{form}")
        for form in (FORMATS if form == ALL else (form,))
    }


def _unfinished(file: Path) -> Path:
    return file.with_name(f"{file.stem}.unfinished{file.suffix}")


def _is_readable(talk: Talk) -> bool:
    """Whether the header can be read; checked before a model is loaded."""
    from slimspeech.data.audio import read_header

    try:
        if talk.problem:
            raise InputError(talk.problem)
        if talk.path is not None and not is_pipe(talk.path):
            read_header(talk.path, talk.name)
    except InputError as error:
        logger.error("%s", error)
        return False
    return True


@contextlib.contextmanager
def _writers(
    talk: Talk, folder: Path | None, arguments: argparse.Namespace, translator: "Translator"
) -> Iterator[list[Writer]]:
    """Writers to standard output, or to files, which appear when the talk is complete.

    What a server translated before it failed is kept as well, in files named talk.unfinished.txt.
    """
    layout, pair = layout_of(arguments, translator.pair), translator.pair
    if folder is None:
        writer = Writer(arguments.output_format, sys.stdout, layout, pair)
        try:
            yield [writer]
        except ServerError:
            writer.finish()
            raise
        writer.finish()
        return
    files = _output_files(talk, folder, arguments)
    # Not named after the file, whose name may already be the longest that the disk takes.
    partial = {
        form: file.with_name(f".{os.getpid()}.{form}.partial") for form, file in files.items()
    }
    try:
        next(iter(files.values())).parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            writers = [
                Writer(form, stack.enter_context(path.open("w", encoding="utf-8")), layout, pair)
                for form, path in partial.items()
            ]
            failure = None
            try:
                yield writers
            except ServerError as error:
                failure = error
                unfinished = {form: _unfinished(file) for form, file in files.items()}
                files = unfinished if writers[0].count else {}
            for writer in writers:
                writer.finish()
        for form, file in files.items():
            os.replace(partial[form], file)
            logger.info("wrote %s", file)
        if failure:
            raise failure
    except OSError as error:
        output = printable(next(iter(files.values())))
        raise InputError(
            f"{talk.name}: {output} cannot be written ({error.strerror}); give another "
            "--output-dir, or translate this file alone to standard output"
        ) from error
    finally:
        for path in partial.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
