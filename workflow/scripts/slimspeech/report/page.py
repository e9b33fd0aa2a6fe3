"""Writes the report as one HTML file that needs no network."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from slimspeech.assets import ASSETS
from slimspeech.evaluation.significance import MIN_SEGMENTS, MIN_TALKS
from slimspeech.formatting import MISSING
from slimspeech.pruning.layer_table import chosen_in
from slimspeech.report import numbers
from slimspeech.report.figures.searches import overlaps
from slimspeech.report.figures.style import SERIES, Figure, inline
from slimspeech.report.first_screen import cards
from slimspeech.report.results import Experiment, Iteration, Pair, title
from slimspeech.report.utterances import as_script, utterances

TEMPLATES = Path(__file__).parent / "templates"
LIBRARIES = (
    "sortable-tablesort-4.1.7.min.js",
    "sortable-tablesort-4.1.7.a11y.min.js",
    "diff-9.0.0.min.js",
)


def render_page(
    experiment: Experiment,
    figures: Mapping[str, Sequence[tuple[Figure, str, str | None]]],
    clips: Mapping[str, str],
    provenance: Mapping[str, Any],
    published: Sequence[Mapping[str, Any]],
) -> str:
    """The page.

    figures: by section, each with its SVG at the wide and, if it has one, the narrow width. clips:
    of clip_urls(). provenance: values of the last section. published: points of the literature.
    """
    scripts = [(ASSETS / "vendor" / name).read_text(encoding="utf-8") for name in LIBRARIES]
    for file in (ASSETS / "elements.js", TEMPLATES / "page.js"):
        scripts.append(file.read_text(encoding="utf-8"))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formats = ("count", "size", "percent", "ratio", "duration", "p_value")
    environment.filters |= {name: getattr(numbers, name) for name in formats} | {"title": title}
    environment.globals |= {
        "timed": _timing_settings,
        "score": numbers.score,
        "spread": numbers.spread,
        "overlaps": overlaps,
        "shares": _shares,
        "min_segments": MIN_SEGMENTS,
        "min_talks": MIN_TALKS,
    }
    return environment.get_template("page.html.j2").render(
        experiment=experiment,
        cards=cards(experiment),
        figures=figures,
        draw=_draw,
        colors=[f"var(--series-{i})" for i in range(len(SERIES))],
        style=Markup((ASSETS / "style.css").read_text(encoding="utf-8")),
        scripts=[Markup(text) for text in scripts],
        policy=_policy(scripts),
        utterances=Markup(as_script(utterances(experiment, clips))),
        audio=bool(clips),
        config=json.dumps(experiment.config, ensure_ascii=False, indent=2),
        published=published,
        **provenance,
    )


def _draw(figure: Figure, wide: str, narrow: str | None) -> Markup:
    parts = []
    if narrow:
        parts.append(f'<div class="narrow">{inline(narrow, figure.alt, shrinks=True)}</div>')
    parts.append(f'<div class="wide">{inline(wide, figure.alt, shrinks=narrow is not None)}</div>')
    return Markup("".join(parts))


def _shares(iteration: Iteration) -> str:
    """How sure a choice is, such as "61 %; layer 7 in 32 %"."""
    if not iteration.shares:
        return MISSING
    share, rival, rival_share = chosen_in(iteration.shares, iteration.layer)
    text = f"{100 * share:.0f} %"
    return f"{text}; layer {rival} in {100 * rival_share:.0f} %" if rival_share else text


def _timing_settings(pair: Pair) -> dict[str, list[str]]:
    """The settings of speed measurements, each with the names of its systems."""
    settings: dict[str, list[str]] = {}
    for system in pair.scored:
        if system.cost:
            cost = system.cost
            text = f"{cost.device}, batch size {cost.best.batch_size}, {cost.dtype}"
            settings.setdefault(text, []).append(system.name)
    return settings


def _policy(scripts: Sequence[str]) -> str:
    """Allows these scripts only, and no requests, so that no text of a translation can run."""
    hashes = (hashlib.sha256(text.encode()).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "media-src data: file: 'self'; base-uri 'none'; form-action 'none'"
    )
