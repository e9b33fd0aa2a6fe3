"""slimspeech compare: the same speech through several models, side by side."""

import argparse
import contextlib
import gc
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slimspeech.cli.inputs import STDIN, Talk, opened
from slimspeech.cli.options import (
    add_console_options,
    add_model_options,
    add_segmentation_options,
    load_translator,
    segmentation_of,
)
from slimspeech.errors import InputError
from slimspeech.formatting import file_size, weight_count

if TYPE_CHECKING:
    from slimspeech.longform.segmentation import Segment, SegmentationSettings
    from slimspeech.longform.translator import Translator, Utterance
    from slimspeech.release.deployment import Deployment

logger = logging.getLogger(__name__)

FORMATS = ("text", "json", "markdown")


@dataclass(frozen=True)
class Outcome:
    """A model on the audio. seconds: of translating, detection and loading not in it; chrf: None
    without references."""

    name: str
    directory: str
    pair: str
    decoder_layers: int
    weights: int
    bytes: int
    seconds: float
    real_time_factor: float
    device: str
    chrf: float | None
    utterances: list["Utterance"]


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "compare",
        help="translate the same audio with several models, side by side",
        description="Translate the same segments with each model, one model in memory at a time.",
    )
    parser.add_argument("models", nargs="+", metavar="DIR", help="directories of models")
    parser.add_argument("audio", metavar="AUDIO", help="audio file, or - for standard input")
    parser.add_argument(
        "--reference",
        metavar="FILE",
        help="translation to score by chrF: a text file, a line a sentence or segment; outputs are "
        "cut to its lines",
    )
    parser.add_argument(
        "--output-format",
        "--format",
        "-f",
        choices=FORMATS,
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)} (default: text)",
    )
    add_console_options(parser)
    add_model_options(parser)
    add_segmentation_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from slimspeech.release.deployment import read_deployment

    deployments = [read_deployment(directory) for directory in arguments.models]
    _settle_languages(arguments, deployments)
    references = _read_references(arguments.reference) if arguments.reference else None
    path = None if arguments.audio == STDIN else Path(arguments.audio)
    talk = Talk(path, "standard input" if path is None else arguments.audio, Path("talk"))
    with opened(talk) as audio:
        outcomes = _compare(arguments, deployments, audio, talk.name, references)
    show = {"text": _text, "json": _json, "markdown": _markdown}[arguments.output_format]
    print(show(outcomes))
    return 0


def _settle_languages(arguments: argparse.Namespace, deployments: Sequence["Deployment"]) -> None:
    """What the models say goes for those that say nothing. Raises InputError if they differ."""
    pairs = {found.pair_for(arguments.to, arguments.source) for found in deployments if found.pair}
    if len(pairs) > 1:
        raise InputError(
            f"the models are for {' and '.join(sorted(pairs))}; compare those for one of them"
        )
    for pair in pairs:
        arguments.source, arguments.to = pair.split("-", 1)
    for found in deployments:
        found.pair_for(arguments.to, arguments.source)


def _compare(
    arguments: argparse.Namespace,
    deployments: Sequence["Deployment"],
    audio: Path,
    name: str,
    references: Sequence[str] | None,
) -> list[Outcome]:
    from slimspeech.data.audio import read_header

    read_header(audio, name)  # what is wrong with it shows before a model is loaded
    segmentation = _for_all(segmentation_of(arguments), deployments, arguments.verbose)
    outcomes = []
    for deployment, title in zip(deployments, _titles(deployments), strict=True):
        outcome = _measure(arguments, deployment, title, audio, name, segmentation, references)
        outcomes.append(outcome)
        gc.collect()  # this model, before the next is loaded; two might not fit
    if not outcomes[0].utterances:
        logger.warning("%s: no speech found; lower --vad-threshold or try --no-vad", name)
    return outcomes


def _for_all(
    segmentation: "SegmentationSettings", deployments: Sequence["Deployment"], verbose: bool
) -> "SegmentationSettings":
    """Segments that fit the window of every model, so that all hear the same."""
    from slimspeech.cli.console import quiet_libraries

    with quiet_libraries(verbose):
        from slimspeech.models.collation import window_seconds
        from slimspeech.models.qwen2audio import load_processor

        windows = [window_seconds(load_processor(found.directory)) for found in deployments]
    return replace(segmentation, max_seconds=min(segmentation.max_seconds, *windows))


def _titles(deployments: Sequence["Deployment"]) -> list[str]:
    names = [found.name for found in deployments]
    return [
        name if names.count(name) == 1 else str(found.directory)
        for name, found in zip(names, deployments, strict=True)
    ]


def _measure(
    arguments: argparse.Namespace,
    deployment: "Deployment",
    title: str,
    audio: Path,
    name: str,
    segmentation: "SegmentationSettings",
    references: Sequence[str] | None,
) -> Outcome:
    from slimspeech.models.qwen2audio import device_name
    from slimspeech.models.size import measure_size

    translator = load_translator(arguments, str(deployment.directory))
    segments = translator.segments(audio, segmentation, name)
    utterances, seconds = _time(translator, segments, title, arguments.quiet)
    heard = sum(said.end - said.start for said in utterances)
    size = measure_size(deployment.directory)
    chrf = _score(utterances, references, translator.pair) if references else None
    return Outcome(
        name=title,
        directory=str(deployment.directory),
        pair=translator.pair,
        decoder_layers=size["decoder_layers"],
        weights=size["weights"],
        bytes=size["bytes"],
        seconds=seconds,
        real_time_factor=seconds / heard if heard else 0.0,
        device=device_name(translator.model.device),
        chrf=chrf,
        utterances=utterances,
    )


def _time(
    translator: "Translator", segments: Iterable["Segment"], title: str, quiet: bool
) -> tuple[list["Utterance"], float]:
    """All utterances, and the seconds that translating them took."""
    from tqdm import tqdm

    from slimspeech.evaluation.cost import timed

    utterances: list[Utterance] = []
    seconds = 0.0
    with tqdm(desc=title, unit=" segments", disable=True if quiet else None) as bar:
        for batch in translator.batches(segments):
            if not utterances:  # the first call pays for lazy set-up, which is not the model's
                translator.translate_segments(batch[:1])
            found, taken = timed(lambda batch=batch: translator.translate_segments(batch))
            utterances += found
            seconds += taken
            bar.update(len(batch))
    return utterances, seconds


def _read_references(path: str) -> list[str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error}); convert it") from error
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputError(f"{path}: no text in it; give a line a sentence or segment")
    return found


def _score(utterances: Sequence["Utterance"], references: Sequence[str], pair: str) -> float:
    """chrF of the whole, cut to the references as the IWSLT track does."""
    from slimspeech.languages import target_code

    try:
        from slimspeech.evaluation.resegmentation import chrf_of_running_text
    except ImportError as error:
        raise InputError(
            f"--reference needs the package {error.name}; pip install 'slimspeech[score]'"
        ) from error
    with _silent_stderr():
        texts = [said.text for said in utterances]
        return chrf_of_running_text(texts, references, target_code(pair))


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """mweralign's C++ tells of itself there, past sys.stderr."""
    sys.stderr.flush()
    with open(os.devnull, "w") as nowhere:
        kept = os.dup(2)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _text(outcomes: Sequence[Outcome]) -> str:
    """Segment by segment, each model's line under the other's."""
    from slimspeech.longform.subtitles import timestamp

    width = max(len(outcome.name) for outcome in outcomes)
    blocks = []
    for place, said in enumerate(outcomes[0].utterances):
        lines = [f"[{timestamp(said.start, '.')} – {timestamp(said.end, '.')}]"]
        lines += [f"{o.name:<{width}}  {o.utterances[place].text}" for o in outcomes]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, _table(outcomes)])


def _markdown(outcomes: Sequence[Outcome]) -> str:
    from slimspeech.longform.subtitles import timestamp

    lines = [f"| time | {' | '.join(_cell(outcome.name) for outcome in outcomes)} |"]
    lines.append("|---|" + "---|" * len(outcomes))
    for place, said in enumerate(outcomes[0].utterances):
        texts = [_cell(outcome.utterances[place].text) for outcome in outcomes]
        lines.append(f"| {timestamp(said.start, '.')} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n\n" + _table(outcomes)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _json(outcomes: Sequence[Outcome]) -> str:
    return json.dumps([asdict(outcome) for outcome in outcomes], ensure_ascii=False, indent=2)


def _table(outcomes: Sequence[Outcome]) -> str:
    from slimspeech.formatting import MISSING, aligned

    header = ["model", "layers", "weights", "size", "seconds", "s / audio s", "chrF"]
    rows = [
        [
            outcome.name,
            str(outcome.decoder_layers),
            weight_count(outcome.weights),
            file_size(outcome.bytes),
            f"{outcome.seconds:.2f}",
            f"{outcome.real_time_factor:.3f}",
            MISSING if outcome.chrf is None else f"{outcome.chrf:.1f}",
        ]
        for outcome in outcomes
    ]
    devices = ", ".join(dict.fromkeys(outcome.device for outcome in outcomes))
    return f"{aligned(header, rows)}\nTime of translating alone, without loading, on {devices}."
