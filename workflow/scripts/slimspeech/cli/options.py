"""Options that several commands share, and the objects made from them."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from slimspeech.errors import InputError

if TYPE_CHECKING:
    from slimspeech.longform.segmentation import SegmentationSettings
    from slimspeech.longform.subtitles import Layout
    from slimspeech.longform.translator import Translator

LARGEST = 2**31 - 1  # what libraries take for a number of threads or segments
# Option, field of SegmentationSettings, and help.
SEGMENTATION = (
    ("max-segment-seconds", "max_seconds", "longest segment (default: 18)"),
    ("min-silence", "min_silence", "shortest pause to cut at (default: 0.1)"),
    ("max-pause", "max_pause", "a longer pause always cuts; inf: none does (default: 2)"),
    ("speech-pad", "pad", "silence kept before and after a segment (default: 0.03)"),
)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--to",
        "--target",
        metavar="LANGUAGE",
        help="language to translate into, such as de or German (default: that of the model)",
    )
    group.add_argument(
        "--from",
        "--language",
        dest="source",
        metavar="LANGUAGE",
        help="spoken language (default: that of the model, else en)",
    )
    group.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda or cuda:1 (default: a GPU if there is one)",
    )
    group.add_argument(
        "--precision",
        choices=("auto", "fp32", "bf16"),
        default="auto",
        help="type that models compute in (default: bf16 where the device computes it itself)",
    )
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        default="auto",
        metavar="N",
        help="segments translated together (default: auto, as many as memory holds)",
    )
    group.add_argument("--threads", type=positive(int), metavar="N", help="CPU threads")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    engine = parser.add_argument_group(
        "engine",
        "An engine does the work of the model: a running one with OpenAI's chat, or one that is "
        "started. The directory of the model then gives prompt, languages and window alone.",
    )
    which = engine.add_mutually_exclusive_group()
    which.add_argument(
        "--server",
        metavar="URL",
        help="address of a running engine, such as http://127.0.0.1:8000",
    )
    which.add_argument(
        "--engine", choices=("vllm",), help="start it on this machine, and stop it at the end"
    )
    engine.add_argument(
        "--export",
        metavar="DIR",
        help="what --engine loads, such as results/mini/en-de/students/A/export/int8",
    )
    engine.add_argument(
        "--engine-python",
        metavar="FILE",
        help="Python of its environment (default: that of .venv-vllm)",
    )
    engine.add_argument(
        "--server-model", metavar="NAME", help="its name of the model (default: its only one)"
    )
    engine.add_argument(
        "--server-timeout",
        type=positive(float),
        default=120.0,
        metavar="S",
        help="how long an answer may take, in seconds (default: 120)",
    )


def add_segmentation_options(parser: argparse.ArgumentParser) -> None:
    """The values have the names of SegmentationSettings and are None where it has the default."""
    group = parser.add_argument_group(
        "segments", "Lengths in seconds. A segment is never longer than the model's input window."
    )
    for option, field, text in SEGMENTATION:
        group.add_argument(f"--{option}", dest=field, type=float, metavar="S", help=text)
    group.add_argument(
        "--vad-threshold",
        dest="threshold",
        type=float,
        metavar="P",
        help="required probability of speech, 0 to 1 (default: 0.5)",
    )
    group.add_argument(
        "--no-vad",
        dest="detect",
        action="store_false",
        help="translate all audio without detecting speech, cut where it is quietest",
    )


def add_subtitle_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("subtitles")
    group.add_argument(
        "--max-line-width",
        type=positive(int),
        metavar="N",
        help="characters per line (default: 42, or 16 for languages without spaces)",
    )
    group.add_argument(
        "--max-line-count",
        type=positive(int),
        metavar="N",
        help="lines per subtitle (default: 2)",
    )


def add_console_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "-q", "--quiet", action="store_true", help="show only errors, no progress bar"
    )
    group.add_argument(
        "-v", "--verbose", action="store_true", help="show details and messages of libraries"
    )


def segmentation_of(arguments: argparse.Namespace) -> "SegmentationSettings":
    from slimspeech.longform.segmentation import SegmentationSettings

    names = {field.name for field in fields(SegmentationSettings)}
    options = vars(arguments).items()
    return SegmentationSettings(
        **{name: value for name, value in options if name in names and value is not None}
    )


def layout_of(arguments: argparse.Namespace, pair: str) -> "Layout":
    from slimspeech.languages import target_code
    from slimspeech.longform.subtitles import Layout

    return Layout.of(target_code(pair), arguments.max_line_width, arguments.max_line_count)


@contextmanager
def started_engine(arguments: argparse.Namespace) -> Iterator[None]:
    """The engine of --engine, if it is asked for, and its address as --server."""
    if not arguments.engine:
        if arguments.export:
            raise InputError("--export: what --engine vllm loads; give that too")
        yield
        return
    if not arguments.export:
        raise InputError(
            f"--engine {arguments.engine}: give the export that it loads too, such as "
            "--export results/mini/en-de/students/A/export/int8"
        )
    from slimspeech.engines.launch import vllm_server
    from slimspeech.models.loading import device
    from slimspeech.models.precision import resolve_precision

    precision = resolve_precision(arguments.precision, device())
    with vllm_server(arguments.export, precision, arguments.engine_python) as url:
        arguments.server = url
        yield


def load_translator(arguments: argparse.Namespace, directory: str) -> "Translator":
    """The model of a directory, by the options of add_model_options()."""
    from slimspeech.cli.console import quiet_libraries
    from slimspeech.release.deployment import read_deployment

    # Report a wrong directory or language at once; importing torch takes seconds.
    read_deployment(directory).pair_for(arguments.to, arguments.source)
    with quiet_libraries(arguments.verbose):
        return make_translator(arguments, directory, arguments.to, arguments.source)


def make_translator(
    arguments: argparse.Namespace, directory: str | Path, target: str | None, source: str | None
) -> "Translator":
    """As load_translator, without its check of the directory, with the messages of libraries."""
    if arguments.server:
        from slimspeech.engines.server import Server
        from slimspeech.longform.served import ServedTranslator

        server = Server.find(
            arguments.server, arguments.server_model, seconds=arguments.server_timeout
        )
        return ServedTranslator.ask(directory, server, target, source)
    import torch

    from slimspeech.longform.translator import Translator

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return Translator.load(
        directory,
        target,
        source,
        device=arguments.device,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
    )


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is neither a number nor auto")
    return positive(int)(text)


def positive(kind: type):
    """A parser of positive numbers of a type, for argparse; of at most LARGEST."""

    def read(text: str):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        if value > LARGEST:
            raise argparse.ArgumentTypeError(f"{text} is above {LARGEST}")
        return value

    read.__name__ = kind.__name__  # argparse writes "invalid int value"
    return read
