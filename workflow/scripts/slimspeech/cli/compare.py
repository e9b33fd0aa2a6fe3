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
from typing import TYPE_CHECKING

from slimspeech.artifacts import read_text
from slimspeech.cli.console import quiet_libraries
from slimspeech.cli.inputs import Talk, opened
from slimspeech.cli.options import (
    add_console_options,
    add_model_options,
    add_segmentation_options,
    load_translator,
    segmentation_of,
)
from slimspeech.errors import InputError
from slimspeech.formatting import MISSING, aligned, file_size, text_table, weight_count
from slimspeech.longform.subtitles import Utterance, timestamp

if TYPE_CHECKING:
    from slimspeech.longform.segmentation import Segment, SegmentationSettings
    from slimspeech.longform.translator import Translator
    from slimspeech.release.deployment import Deployment

logger = logging.getLogger(__name__)

FORMATS = ("text", "json", "markdown")


@dataclass(frozen=True)
class Outcome:
    """A model on the audio. seconds: for translating, without detection and loading. chrf: None
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
    utterances: list[Utterance]


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
        help="text file with the reference translation, one sentence or segment per line; outputs "
        "are divided at its lines and scored by chrF",
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
    parser.set_defaults(run=run, server=None)


def run(arguments: argparse.Namespace) -> int:
    from slimspeech.data.audio import read_header
    from slimspeech.release.deployment import read_deployment

    deployments = [read_deployment(directory) for directory in arguments.models]
    _set_languages(arguments, deployments)
    references = _read_references(arguments.reference) if arguments.reference else None
    talk = Talk.of(arguments.audio)
    outcomes = []
    with opened(talk) as audio:
        read_header(audio, talk.name)  # report damaged audio before a model is loaded
        segmentation = _common_segmentation(arguments, deployments)
        for deployment in deployments:
            translator = load_translator(arguments, str(deployment.directory))
            segments = translator.segments(audio, segmentation, talk.name)
            outcomes.append(_measure(translator, segments, arguments.quiet, references))
            del translator
            gc.collect()  # frees the model before the next is loaded; two might not fit
    if not outcomes[0].utterances:
        logger.warning("%s: no speech found; lower --vad-threshold or try --no-vad", talk.name)
    show = {"text": _text, "json": _json, "markdown": _markdown}[arguments.output_format]
    print(show(_with_distinct_names(outcomes)))
    return 0


def _set_languages(arguments: argparse.Namespace, deployments: Sequence["Deployment"]) -> None:
    """Give models without languages those of the others. Raises InputError for different pairs."""
    pairs = {model.pair_for(arguments.to, arguments.source) for model in deployments if model.pair}
    if len(pairs) > 1:
        raise InputError(
            f"the models translate different pairs, {' and '.join(sorted(pairs))}; compare models "
            "of one pair"
        )
    for pair in pairs:
        arguments.source, arguments.to = pair.split("-", 1)
    for model in deployments:
        model.pair_for(arguments.to, arguments.source)


def _common_segmentation(
    arguments: argparse.Namespace, deployments: Sequence["Deployment"]
) -> "SegmentationSettings":
    """Segments that fit the input windows of all models."""
    segmentation = segmentation_of(arguments)
    with quiet_libraries(arguments.verbose):
        from slimspeech.models.collation import window_seconds
        from slimspeech.models.loading import load_processor

        windows = [window_seconds(load_processor(model.directory)) for model in deployments]
    return replace(segmentation, max_seconds=min(segmentation.max_seconds, *windows))


def _measure(
    translator: "Translator",
    segments: Iterable["Segment"],
    quiet: bool,
    references: Sequence[str] | None,
) -> Outcome:
    from tqdm import tqdm

    from slimspeech.evaluation.cost import timed
    from slimspeech.models.loading import device_name
    from slimspeech.models.size import measure_size

    deployment = translator.deployment
    utterances: list[Utterance] = []
    seconds = 0.0
    with tqdm(desc=deployment.name, unit=" segments", disable=True if quiet else None) as bar:
        for batch in translator.batches(segments):
            if not utterances:  # the first call includes lazy set-up, which is not the model's
                translator.translate_segments(batch[:1])
            translations, duration = timed(lambda batch=batch: translator.translate_segments(batch))
            utterances += translations
            seconds += duration
            bar.update(len(batch))
    speech = sum(utterance.end - utterance.start for utterance in utterances)
    size = measure_size(deployment.directory)
    return Outcome(
        name=deployment.name,
        directory=str(deployment.directory),
        pair=translator.pair,
        decoder_layers=size["decoder_layers"],
        weights=size["weights"],
        bytes=size["bytes"],
        seconds=seconds,
        real_time_factor=seconds / speech if speech else 0.0,
        device=device_name(translator.model.device),
        chrf=_score(utterances, references, translator.pair) if references else None,
        utterances=utterances,
    )


def _with_distinct_names(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The directory replaces a name that several models have."""
    names = [outcome.name for outcome in outcomes]
    return [
        replace(outcome, name=outcome.directory) if names.count(outcome.name) > 1 else outcome
        for outcome in outcomes
    ]


def _read_references(path: str) -> list[str]:
    references = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not references:
        raise InputError(f"{path}: contains no text; give one sentence or segment per line")
    return references


def _score(utterances: Sequence[Utterance], references: Sequence[str], pair: str) -> float:
    """chrF of the whole text, divided at the references' lines as in the IWSLT track."""
    from slimspeech.evaluation.resegmentation import chrf_of_running_text
    from slimspeech.languages import target_code

    texts = [utterance.text for utterance in utterances]
    try:
        with _silent_stderr():
            return chrf_of_running_text(texts, references, target_code(pair))
    except ImportError as error:
        raise InputError(
            f"--reference needs the package {error.name}; pip install 'slimspeech[score]'"
        ) from error


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Closes file descriptor 2, because mweralign's C++ code does not write to sys.stderr."""
    sys.stderr.flush()
    with open(os.devnull, "w") as null:
        stderr = os.dup(2)
        os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _text(outcomes: Sequence[Outcome]) -> str:
    """Segment by segment, one line per model."""
    width = max(len(outcome.name) for outcome in outcomes)
    blocks = []
    for utterances in zip(*(outcome.utterances for outcome in outcomes), strict=True):
        start, end = (timestamp(time, ".") for time in (utterances[0].start, utterances[0].end))
        blocks.append(f"[{start} – {end}]")
        for outcome, utterance in zip(outcomes, utterances, strict=True):
            blocks[-1] += f"\n{outcome.name:<{width}}  {utterance.text}"
    return "\n\n".join([*blocks, _table(outcomes)])


def _markdown(outcomes: Sequence[Outcome]) -> str:
    rows = [
        [timestamp(utterances[0].start, "."), *(utterance.text for utterance in utterances)]
        for utterances in zip(*(outcome.utterances for outcome in outcomes), strict=True)
    ]
    header = ["time", *(outcome.name for outcome in outcomes)]
    return text_table(header, rows) + "\n\n" + _table(outcomes)


def _json(outcomes: Sequence[Outcome]) -> str:
    return json.dumps([asdict(outcome) for outcome in outcomes], ensure_ascii=False, indent=2)


def _table(outcomes: Sequence[Outcome]) -> str:
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
    return f"{aligned(header, rows)}\nTime for translating, without loading, on {devices}."
