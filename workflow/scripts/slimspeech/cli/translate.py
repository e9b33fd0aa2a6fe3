"""slimspeech translate: audio to text, subtitles or data."""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from slimspeech.cli.inputs import STDIN, Talk, find_talks, opened
from slimspeech.cli.options import (
    add_console_options,
    add_model_options,
    add_segmentation_options,
    add_subtitle_options,
    layout_of,
    load_translator,
    segmentation_of,
)
from slimspeech.errors import InputError
from slimspeech.longform.subtitles import FORMATS, Writer

if TYPE_CHECKING:
    from slimspeech.longform.translator import Translator

logger = logging.getLogger(__name__)

ALL = "all"


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "translate",
        help="translate audio files to text or subtitles",
        description="Translate audio of any length. One file is written to standard output, "
        "several to files in the output folder.",
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
        help="folder to write to (default: standard output for one file, else where you are)",
    )
    parser.add_argument(
        "--skip-existing", action="store_true", help="leave out files whose output is there"
    )
    add_console_options(parser)
    add_model_options(parser)
    add_segmentation_options(parser)
    add_subtitle_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 if all files were translated, 1 if some could not be read; what is wrong with each is
    said."""
    folder = _output_folder(arguments)
    segmentation = segmentation_of(arguments)
    talks = find_talks(arguments.audio)
    if folder is not None and arguments.skip_existing:
        talks = [talk for talk in talks if not _are_there(_files(talk, folder, arguments))]
    readable = [talk for talk in talks if _is_readable(talk)]
    if not readable:
        return 1 if talks else 0
    translator = load_translator(arguments, arguments.model)
    done = 0
    for talk in readable:
        try:
            with opened(talk) as path, _writers(talk, folder, arguments, translator) as writers:
                _translate(translator, path, talk, segmentation, writers, arguments.quiet)
            done += 1
        except InputError as error:
            logger.error("%s", error)
    return 0 if done == len(talks) else 1


def _translate(
    translator: "Translator",
    path: Path,
    talk: Talk,
    segmentation,
    writers: Sequence[Writer],
    quiet: bool,
) -> None:
    from tqdm import tqdm

    from slimspeech.data.audio import duration

    seconds = round(duration(path, talk.name), 1)
    heard = 0
    with tqdm(
        total=seconds,
        desc=Path(talk.name).name,
        unit="s",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s "
        "[{elapsed}, {remaining} left]",
        disable=True if quiet else None,  # None: where stderr is no terminal
    ) as bar:
        for said in translator.translate(path, segmentation, talk.name):
            heard += 1
            for writer in writers:
                writer.add(said)
                writer.file.flush()
            bar.update(min(said.end, seconds) - bar.n)
        bar.update(seconds - bar.n)
    if not heard:
        logger.warning("%s: no speech found; lower --vad-threshold or try --no-vad", talk.name)


def _output_folder(arguments: argparse.Namespace) -> Path | None:
    """None for standard output."""
    folder = arguments.output_dir
    if folder is None:
        single = len(arguments.audio) == 1 and (
            arguments.audio[0] == STDIN or not Path(arguments.audio[0]).is_dir()
        )
        if single and arguments.output_format != ALL:
            return None
        return Path(".")
    if Path(folder).is_file() or Path(folder).suffix.removeprefix(".") in FORMATS:
        raise InputError(
            f"--output-dir {folder}: a folder is meant; to name the file of one talk, redirect: "
            f"… > {folder}"
        )
    return Path(folder)


def _files(talk: Talk, folder: Path, arguments: argparse.Namespace) -> dict[str, Path]:
    """The output files of a talk by format."""
    chosen = arguments.output_format
    forms = FORMATS if chosen == ALL else (chosen,)
    # Not with_suffix, which would take the end of "talk.2" for one.
    return {form: folder / talk.place.with_name(f"{talk.place.name}.{form}") for form in forms}


def _are_there(files: dict[str, Path]) -> bool:
    return all(file.is_file() for file in files.values())


def _is_readable(talk: Talk) -> bool:
    """By its header, before a model is loaded."""
    from slimspeech.data.audio import read_header

    try:
        if talk.path is not None:
            read_header(talk.path)
    except InputError as error:
        logger.error("%s", error)
        return False
    return True


@contextlib.contextmanager
def _writers(
    talk: Talk, folder: Path | None, arguments: argparse.Namespace, translator: "Translator"
) -> Iterator[list[Writer]]:
    """To standard output, or to files that are put in place when the talk is whole."""
    layout = layout_of(arguments, translator.pair)

    def writer(form: str, file: TextIO) -> Writer:
        return Writer(form, file, layout, translator.pair)

    if folder is None:
        writers = [writer(arguments.output_format, sys.stdout)]
        yield writers
        writers[0].finish()
        return
    files = _files(talk, folder, arguments)
    partial = {form: file.with_name(f".{file.name}.partial") for form, file in files.items()}
    next(iter(files.values())).parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            writers = [
                writer(form, stack.enter_context(open(path, "w", encoding="utf-8")))
                for form, path in partial.items()
            ]
            yield writers
            for each in writers:
                each.finish()
        for form, path in partial.items():
            os.replace(path, files[form])
            logger.info("wrote %s", files[form])
    finally:
        for path in partial.values():
            path.unlink(missing_ok=True)
