"""The style of charts; draws a specification as a file for papers and as a part of the page.

Charts are SVG; the page runs no plotting code. On the page, colours are variables of its style
sheet, so that a chart follows the light and dark theme.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import altair as alt
import vl_convert

FONT = "Arial, Helvetica, Liberation Sans, sans-serif"  # of the same width on every system
VEGA_LITE = ".".join(alt.SCHEMA_VERSION.lstrip("v").split(".")[:2])

INK, MUTED, GRID, PAPER, ACCENT = "#1d1d1f", "#6a6a72", "#e3e3e8", "#fefefe", "#2a64c5"
# Colours of systems in the order of the config, after Okabe and Ito for colour-blind readers.
SERIES = (
    "#6b7280",
    "#0072b2",
    "#cc7a00",
    "#009e73",
    "#c4407f",
    "#7b4fc9",
    "#56a4d9",
    "#a67c00",
    "#d55e00",
    "#3f7f3f",
)
# Colour in a file: variable of the page's style sheet.
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", ACCENT: "accent"}
VARIABLES |= {color: f"series-{i}" for i, color in enumerate(SERIES)}

CONFIG = {
    "font": FONT,
    "background": None,
    "padding": {"left": 10, "right": 10, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "tickCount": 5,
    },
    "legend": {"labelColor": INK, "titleColor": MUTED, "labelFontSize": 12, "titleFontSize": 12},
    "text": {"color": INK, "fontSize": 12},
}


@dataclass(frozen=True)
class Figure:
    """A chart at two widths, for wide and narrow windows.

    name: of its files. alt: its content in a sentence. sources: the files of its numbers.
    """

    name: str
    title: str
    alt: str
    sources: Sequence[str]
    wide: alt.TopLevelMixin
    narrow: alt.TopLevelMixin | None = None


def svg(chart: alt.TopLevelMixin) -> str:
    """The chart as a separate file, in the light theme."""
    spec = chart.to_dict(validate=False) | {"config": CONFIG}
    return vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)


def png(text: str) -> bytes:
    """An SVG on white, at twice the resolution of a screen."""
    opaque = text.replace(">", f'><rect width="100%" height="100%" fill="{PAPER}"/>', 1)
    return vl_convert.svg_to_png(opaque, scale=2)


def inline(text: str, label: str, shrinks: bool) -> str:
    """An SVG as a part of the page, with the colours of the theme and at most its original width.

    shrinks: whether it shrinks in a narrow window; otherwise its box scrolls.
    """
    for color, variable in VARIABLES.items():
        text = text.replace(f'"{color}"', f'"var(--{variable})"')
    width = re.search(r'width="(\d+)"', text)[1]
    style = f"max-width:{width}px" + ("" if shrinks else f";min-width:min({width}px,34rem)")
    head = f'<svg role="img" aria-label="{escape(label)}" style="{style}" class="chart" '
    return head + re.sub(
        r'class="marks" width="\d+" height="\d+" ', "", text[len("<svg ") :], count=1
    )


def color_scale(names: Sequence[str]) -> alt.Scale:
    """The same colour for the same system in every chart."""
    colors = [SERIES[i % len(SERIES)] for i in range(len(names))]
    return alt.Scale(domain=list(names), range=colors)
