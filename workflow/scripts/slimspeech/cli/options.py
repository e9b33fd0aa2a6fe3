"""Options that several commands have, and what is made of them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimspeech.longform.cues import Layout
    from slimspeech.longform.segmentation import SegmentationSettings
    from slimspeech.longform.translator import Translator


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """The languages, and on what a model computes."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--to",
        "--target",
        metavar="LANGUAGE",
        help="language to translate into, such as de or German (default: what the model was made "
        "for)",
    )
    group.add_argument(
        "--from",
        "--language",
        dest="source",
        metavar="LANGUAGE",
        help="language that is spoken (default: what the model was made for, else en)",
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
        help="what weights that are not 4-bit compute in (default: bf16 on a GPU, fp32 on a CPU)",
    )
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        default="auto",
        metavar="N",
        help="segments translated at once (default: auto, what memory holds)",
    )
    group.add_argument("--threads", type=positive(int), metavar="N", help="threads of the CPU")


def add_segmentation_options(parser: argparse.ArgumentParser) -> None:
    """How a talk is cut."""
    group = parser.add_argument_group("segments")
    group.add_argument(
        "--max-segment-seconds",
        type=positive(float),
        default=18.0,
        metavar="S",
        help="longest segment (default: 18, and never more than the model hears at once)",
    )
    group.add_argument(
        "--min-silence",
        type=_not_negative,
        default=0.1,
        metavar="S",
        help="shortest pause to cut at (default: 0.1)",
    )
    group.add_argument(
        "--max-pause",
        type=_not_negative,
        default=2.0,
        metavar="S",
        help="a longer pause always cuts (default: 2)",
    )
    group.add_argument(
        "--speech-pad",
        type=_not_negative,
        default=0.03,
        metavar="S",
        help="silence kept around a segment (default: 0.03)",
    )
    group.add_argument(
        "--vad-threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="how sure the detector must be that it hears speech, 0 to 1 (default: 0.5)",
    )
    group.add_argument(
        "--no-vad",
        action="store_true",
        help="translate all of the audio, cut where it is quietest, without looking for speech",
    )


def add_subtitle_options(parser: argparse.ArgumentParser) -> None:
    """The size of a subtitle."""
    group = parser.add_argument_group("subtitles")
    group.add_argument(
        "--max-line-width",
        type=positive(int),
        metavar="N",
        help="characters to a line (default: 42, or 16 for languages without spaces)",
    )
    group.add_argument(
        "--max-line-count", type=positive(int), metavar="N", help="lines at once (default: 2)"
    )


def add_console_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="no progress bar, only errors")
    group.add_argument(
        "-v", "--verbose", action="store_true", help="say what is done, and what libraries remark"
    )


def segmentation_of(arguments: argparse.Namespace) -> "SegmentationSettings":
    from slimspeech.longform.segmentation import SegmentationSettings

    return SegmentationSettings(
        max_seconds=arguments.max_segment_seconds,
        threshold=arguments.vad_threshold,
        min_silence=arguments.min_silence,
        max_pause=arguments.max_pause,
        pad=arguments.speech_pad,
        detect=not arguments.no_vad,
    )


def layout_of(arguments: argparse.Namespace, pair: str) -> "Layout":
    from slimspeech.languages import target_code
    from slimspeech.longform.cues import Layout

    return Layout.of(target_code(pair), arguments.max_line_width, arguments.max_line_count)


def load_translator(arguments: argparse.Namespace, directory: str) -> "Translator":
    """The model of a directory by the options of add_model_options()."""
    from slimspeech.release.deployment import read_deployment

    # What is wrong with the directory or the languages shows at once, torch takes seconds.
    read_deployment(directory).pair_for(arguments.to, arguments.source)
    from slimspeech.cli.console import quiet_libraries

    with quiet_libraries(arguments.verbose):
        return make_translator(arguments, directory, arguments.to, arguments.source)


def make_translator(
    arguments: argparse.Namespace, directory: str | Path, target: str | None, source: str | None
) -> "Translator":
    """The same for languages that are known to be the model's, and with all that libraries say."""
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
    """What reads a number of a kind above 0, for argparse."""

    def read(text: str):
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return value

    read.__name__ = kind.__name__  # argparse says "invalid int value"
    return read


def _not_negative(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value
