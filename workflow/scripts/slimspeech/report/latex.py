"""The score table for a paper: LaTeX with booktabs."""

from collections.abc import Sequence

from slimspeech.report import numbers
from slimspeech.report.results import Experiment, Interval, Pair, System, title

SPECIAL = {character: f"\\{character}" for character in "&%$#_{}"}
SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def escape(text: str) -> str:
    return text.translate(str.maketrans(SPECIAL))


def latex_table(experiment: Experiment) -> str:
    """One table for all pairs; needs \\usepackage{booktabs}. Best values are not marked:
    the intervals show which differences are more than noise."""
    metrics = list(dict.fromkeys(name for pair in experiment.pairs for name in pair.metrics))
    titles = [escape(title(name)) for name in metrics]
    header = ["System", "Layers", "Weights", "Size", *titles, r"\% of teacher"]
    body: list[str] = []
    for pair in experiment.pairs:
        caption = f"{escape(pair.title)}, {len(pair.segments)} segments"
        body.append(rf"\midrule \multicolumn{{{len(header)}}}{{l}}{{\emph{{{caption}}}}} \\")
        body += [_line(pair, system, metrics) for system in pair.systems]
    signatures = [
        f"%   {pair.code} {title(name)}: {system.scores[name].signature}"
        for pair in experiment.pairs
        for name in metrics
        for system in pair.scored[:1]
        if name in system.scores
    ]
    lines = [
        f"% Scores of {experiment.name}. In parentheses: 95 % intervals by bootstrap.",
        "% Sizes are of the safetensors files, in units of a thousand.",
        *signatures,
        rf"\begin{{tabular}}{{lr{'r' * (len(header) - 2)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _line(pair: Pair, system: System, metrics: Sequence[str]) -> str:
    name = escape(system.name)
    if system not in pair.scored:
        return rf"{name} & \multicolumn{{{len(metrics) + 4}}}{{l}}{{{escape(system.state)}}} \\"
    retention = pair.retention(system)
    cells = [
        name,
        "--" if system.decoder_layers is None else str(system.decoder_layers),
        numbers.count(system.weights),
        numbers.size(system.bytes),
        *(
            _cell(system.scores[metric].score, lambda value, m=metric: numbers.score(m, value))
            if metric in system.scores
            else "--"
            for metric in metrics
        ),
        _cell(retention, numbers.percent) if retention else "--",
    ]
    return " & ".join(cells) + r" \\"


def _cell(interval: Interval, write) -> str:
    text = numbers.spread(interval, write).replace("–", "--").replace(" ", "")
    return write(interval.value) + (f" ({text})" if text else "")
