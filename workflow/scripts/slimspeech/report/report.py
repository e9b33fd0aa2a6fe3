"""Writes the report of an experiment: the page, its charts as files, and a LaTeX table."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from slimspeech.artifacts import write_text
from slimspeech.report.clips import clip_urls
from slimspeech.report.figures.curves import talks, training
from slimspeech.report.figures.searches import agreement, decline, heat_map
from slimspeech.report.figures.seeds import seeds_figure
from slimspeech.report.figures.sensitivities import sensitivities
from slimspeech.report.figures.style import Figure, png, svg
from slimspeech.report.figures.tradeoffs import comet_figure, size_figure, speed_figure
from slimspeech.report.latex import latex_table
from slimspeech.report.page import render_page
from slimspeech.report.read import provenance
from slimspeech.report.read.experiment import read_experiment
from slimspeech.report.read.files import Reader
from slimspeech.report.results import NOT_RUN, Experiment

logger = logging.getLogger(__name__)

# The metric of the track, which the published COMET scores are taken to be of.
COMET_MODEL = "Unbabel/wmt22-comet-da"

Drawn = dict[str, list[tuple[Figure, str, str | None]]]


def write_report(config: Mapping[str, Any], published: str | Path, root: str | Path = ".") -> None:
    """Write report.html, plots/ (SVG and PNG) and scores.tex into results/{experiment}.

    config: with its defaults. published: YAML file with points of the literature, shown if the
    config says so. The page names missing results. Raises InputError for invalid files.
    """
    root = Path(root)
    reader = Reader(root)
    experiment = read_experiment(config, root)
    points = []
    if config["report"]["published"]:
        points = yaml.safe_load((root / published).read_text(encoding="utf-8"))
    drawn = {
        section: [
            (figure, svg(figure.wide), svg(figure.narrow) if figure.narrow else None)
            for figure in figures
            if figure
        ]
        for section, figures in _figures(experiment, points).items()
    }
    audio = [row["audio"] for pair in experiment.pairs for row in pair.segments]
    clips = clip_urls(audio, config["report"]["audio"], experiment.folder, root)
    text = render_page(
        experiment,
        drawn,
        clips,
        {
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": provenance.machine(),
            "commit": provenance.commit(root),
            "versions": provenance.versions(root),
            "rules": provenance.rule_costs(reader, experiment),
            "hashes": provenance.student_hashes(reader, experiment),
            "missing": not_run(experiment, reader),
        },
        points,
    )
    folder = root / experiment.folder
    _write_plots(folder / "plots", drawn)
    write_text(folder / "scores.tex", latex_table(experiment))
    write_text(folder / "report.html", text)
    megabytes = len(text.encode()) / 1e6
    logger.info("%s/report.html: %.1f MB, %d clips", experiment.folder, megabytes, len(clips))


def not_run(experiment: Experiment, reader: Reader) -> list[str]:
    """Results that the report does not have, each with the reason."""
    missing = [
        f"{pair.code}: system {system.name} {system.reason}"
        for pair in experiment.pairs
        for system in pair.systems
        if system.state == NOT_RUN
    ]
    if not experiment.config["evaluation"].get("comet"):
        missing.append("COMET: off in the config (evaluation.comet)")
    for pair in experiment.pairs:
        if pair.scored and not pair.comparison:
            missing.append(f"{pair.code}: intervals of the scores; comparison.json does not exist")
        elif pair.scored and pair.teacher is None:
            missing.append(f"{pair.code}: comparison with a teacher; no teacher among the systems")
        for key, label in {
            "cost": "cost at several batch sizes",
            "checks": "checks of the translations",
        }.items():
            without = [s.name for s in pair.scored if key not in s.files and not s.text_only]
            if without:
                missing.append(f"{pair.code}: {label} of {', '.join(without)}; no {key}.json")
        if not pair.manifests.get("out_of_domain"):
            missing.append(f"{pair.code}: out-of-domain data")
    if experiment.config["report"]["audio"] == "none":
        missing.append("Audio of the test set: off in the config (report.audio)")
    return missing


def _figures(
    experiment: Experiment, points: list[dict[str, Any]]
) -> dict[str, list[Figure | None]]:
    pairs = experiment.pairs
    metrics = experiment.config["evaluation"].get("comet", {})
    sizes = []
    for pair in pairs:
        sizes.append(size_figure(pair, _of_pair(points, "percent", pair.code)))
        for name, metric in metrics.items():
            same = _of_pair(points, "comet", pair.code) if metric["model"] == COMET_MODEL else []
            sizes.append(comet_figure(pair, name, same))
    return {
        "seeds": [seeds_figure(pair) for pair in pairs],
        "size": sizes,
        "speed": [speed_figure(pair) for pair in pairs],
        "sensitivities": [sensitivities(pair) for pair in pairs],
        "talks": [talks(pair) for pair in pairs],
        "search": [heat_map(pair, search) for pair in pairs for search in pair.searches],
        "decline": [decline(pair) for pair in pairs],
        "agreement": [agreement(experiment)],
        "training": [training(pair, curve) for pair in pairs for curve in pair.curves],
    }


def _of_pair(points: list[dict[str, Any]], key: str, pair: str) -> list[dict[str, Any]]:
    """The published points that have a value of a pair under a key, with that value there."""
    return [point | {key: point[key][pair]} for point in points if pair in point.get(key, {})]


def _write_plots(folder: Path, drawn: Drawn) -> None:
    """Write the charts, and remove those that only an earlier report had."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [figure for figures in drawn.values() for figure in figures]
    names = {figure.name for figure, _, _ in figures}
    for path in folder.iterdir():
        if path.suffix in (".svg", ".png") and path.stem not in names:
            path.unlink()
    for figure, wide, _ in figures:
        write_text(folder / f"{figure.name}.svg", wide)
        (folder / f"{figure.name}.png").write_bytes(png(wide))
