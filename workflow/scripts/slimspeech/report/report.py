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
from slimspeech.report.figures.style import Figure, png, svg
from slimspeech.report.figures.tradeoffs import size_figure, speed_figure
from slimspeech.report.latex import latex_table
from slimspeech.report.page import render_page
from slimspeech.report.read import provenance
from slimspeech.report.read.experiment import read_experiment
from slimspeech.report.read.files import Reader
from slimspeech.report.results import NOT_RUN, Experiment

logger = logging.getLogger(__name__)

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
    published = {
        pair.code: [
            {**point, "percent": point["percent"][pair.code]}
            for point in points
            if pair.code in point["percent"]
        ]
        for pair in pairs
    }
    return {
        "size": [size_figure(pair, published[pair.code]) for pair in pairs],
        "speed": [speed_figure(pair) for pair in pairs],
        "talks": [talks(pair) for pair in pairs],
        "search": [heat_map(pair, search) for pair in pairs for search in pair.searches],
        "decline": [decline(pair) for pair in pairs],
        "agreement": [agreement(experiment)],
        "training": [training(pair, curve) for pair in pairs for curve in pair.curves],
    }


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
