"""The score table: one row per pair and system, for programs (CSV) and for people (Markdown)."""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby

from slimspeech import languages
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import METRICS, search_metric
from slimspeech.evaluation.significance import MIN_SEGMENTS, MIN_TALKS
from slimspeech.formatting import MISSING, aligned, file_size, weight_count
from slimspeech.languages import target_code
from slimspeech.systems import BASE, TEACHER

TITLES = {"bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "comet": "COMET"}
SIGNATURE = "_signature"
COMET_DIGITS = 4  # of scores from about 0 to 1; the others run to 100


def tabulate(
    scores: Sequence[Row],
    sizes: Sequence[Row],
    translations: Sequence[Row],
    comet: Sequence[Row] = (),
    comparisons: Sequence[Row] = (),
) -> list[Row]:
    """Join scores.json, size.json and translation.json of the systems, all three in one order.

    comet: comet/{metric}.json of any system; each metric has its own column. comparisons: the
    comparison.json of each pair, for intervals and p-values.
    Nothing is rounded. Ratios to the base model and the teacher are percentages within the pair,
    None where the pair has no such system; the ratio to the teacher is by the pair's search metric.
    Raises InputError if the systems of a pair were scored on different numbers of segments, or a
    score is not a finite number.
    """
    compared = {
        (comparison["pair"], system): metrics
        for comparison in comparisons
        for system, metrics in comparison["systems"].items()
    }
    rows = [
        _row(_with_comet(score, comet), size, translation, compared)
        for score, size, translation in zip(scores, sizes, translations, strict=True)
    ]
    for pair in dict.fromkeys(row["pair"] for row in rows):
        systems = {row["system"]: row for row in rows if row["pair"] == pair}
        if len({row["segments"] for row in systems.values()}) > 1:
            counts = ", ".join(f"{name} {row['segments']}" for name, row in systems.items())
            raise InputError(
                f"{pair}: systems were scored on different test sets (segments: {counts}); "
                "remove their hypotheses.jsonl and run again"
            )
        metric = search_metric(target_code(pair))
        for row in systems.values():
            row["percent_of_base"] = _percent(row, systems.get(BASE), "bytes")
            row["percent_of_teacher"] = _percent(row, systems.get(TEACHER), metric)
    return rows


def markdown(rows: Sequence[Row], names: dict[str, str]) -> str:
    """The rows of `tabulate` as one table a pair, in their order, columns padded for a terminal.

    names: of languages by code, beside those that slimspeech.languages has.
    """
    sections = ["# Scores"]
    for pair, group in groupby(rows, key=lambda row: row["pair"]):
        sections += _section(pair, list(group), names)
    return "\n\n".join(sections) + "\n"


def _with_comet(score: Row, comet: Sequence[Row]) -> Row:
    """A system's scores.json with COMET's scores added to its metrics."""
    system = (score["pair"], score["system"])
    rows = [row for row in comet if (row["pair"], row["system"]) == system]
    for row in rows:
        if row["segments"] != score["segments"]:
            raise InputError(
                f"{', '.join(system)}: {row['metric']} is of {row['segments']} segments, but the "
                f"other scores are of {score['segments']}; run `snakemake -R score_comet`"
            )
    return {**score, "metrics": {**score["metrics"], **{row["metric"]: row for row in rows}}}


def _row(
    score: Row, size: Row, translation: Row, compared: Mapping[tuple[str, str], Mapping[str, Row]]
) -> Row:
    """compared: by pair and system, what comparison.json holds of each metric."""
    metrics = score["metrics"]
    for name, result in metrics.items():
        if not math.isfinite(result["score"]):
            raise InputError(
                f"{score['pair']}, {score['system']}: {name} is {result['score']}, not a finite "
                "number; remove its scores.json and run again"
            )
    ranking = compared.get((score["pair"], score["system"]), {}).get(
        search_metric(target_code(score["pair"])), {}
    )
    return {
        **{key: score[key] for key in ("pair", "system", "segments")},
        **{key: size[key] for key in ("decoder_layers", "weights", "bytes", "quantization")},
        "percent_of_base": None,
        **{name: result["score"] for name, result in metrics.items()},
        "percent_of_teacher": None,
        "percent_of_teacher_low": ranking.get("retention_low"),
        "percent_of_teacher_high": ranking.get("retention_high"),
        "percent_of_teacher_by_talk_low": ranking.get("by_talk", {}).get("retention_low"),
        "percent_of_teacher_by_talk_high": ranking.get("by_talk", {}).get("retention_high"),
        "p_value": ranking.get("p_value"),
        "sacrebleu_p_value": ranking.get("sacrebleu_p_value"),
        "seconds": translation["seconds"],
        "audio_seconds": translation["audio_seconds"],
        "seconds_per_audio_second": translation["seconds"] / translation["audio_seconds"],
        **{key: translation[key] for key in ("clips", "batch_size", "device")},
        "compute_dtype": translation["dtype"],
        **{name + SIGNATURE: result["signature"] for name, result in metrics.items()},
    }


def _percent(row: Row, whole: Row | None, column: str) -> float | None:
    if whole is None or not whole.get(column) or row.get(column) is None:
        return None
    return 100 * (row[column] / whole[column])  # exactly 100 if row is whole


def _section(pair: str, rows: Sequence[Row], names: dict[str, str]) -> list[str]:
    metrics = [key.removesuffix(SIGNATURE) for key in rows[0] if key.endswith(SIGNATURE)]
    ranking = TITLES[search_metric(target_code(pair))]
    header = ["System", "Layers", "Weights", "Size", "% of base"]
    header += [TITLES.get(name, name) for name in metrics]
    by_talk = any(row["percent_of_teacher_by_talk_low"] is not None for row in rows)
    header += ["% of teacher", *(["by talk"] if by_talk else []), "p", "s / audio s"]
    cells = [
        [
            row["system"],
            str(row["decoder_layers"]),
            weight_count(row["weights"]),
            file_size(row["bytes"]),
            _fixed(row["percent_of_base"], 1),
            *(_fixed(row[name], 1 if name in METRICS else COMET_DIGITS) for name in metrics),
            " ".join([_fixed(row["percent_of_teacher"], 1), *_interval(row, "")]),
            *([" ".join(_interval(row, "by_talk_")) or MISSING] if by_talk else []),
            _fixed(row["p_value"], 3),
            _fixed(row["seconds_per_audio_second"], 3),
        ]
        for row in rows
    ]
    settings = {
        row["system"]: f"{row['device']}, batch size {row['batch_size']}, {row['compute_dtype']}"
        for row in rows
    }
    signatures = "\n".join(
        f"- {TITLES.get(name, name)}: `{signature}`"
        for name in metrics
        for signature in dict.fromkeys(row[name + SIGNATURE] for row in rows)
    )
    return [
        f"## {languages.title(pair, names)} ({pair}), {rows[0]['segments']} segments",
        aligned(header, cells),
        "Layers: of the decoder. Size: safetensors files, in units of a thousand.\n"
        f"% of teacher: by {ranking}{_intervals_note(rows, by_talk)}\n"
        f"Speed: seconds of work per second of audio, on {'; '.join(once_each(settings))}.",
        f"Signatures of the scores:\n\n{signatures}",
    ]


def once_each(settings: Mapping[str, str]) -> list[str]:
    """Each setting once, from settings by system; with its systems in brackets if they differ."""
    systems: dict[str, list[str]] = {}
    for system, setting in settings.items():
        systems.setdefault(setting, []).append(system)
    if len(systems) == 1:
        return list(systems)
    return [f"{setting} ({', '.join(names)})" for setting, names in systems.items()]


def _intervals_note(rows: Sequence[Row], by_talk: bool) -> str:
    """What the intervals and p are, or why there are none."""
    if rows[0]["segments"] < MIN_SEGMENTS:
        return (
            f". Fewer than {MIN_SEGMENTS} segments say nothing\nof differences: no intervals, no p."
        )
    note = (
        ", with its 95 % interval; p: how often chance in the choice of segments\nalone makes such "
        "a difference; both by paired bootstrap over segments."
    )
    if by_talk:
        return f"{note} By talk: the interval over\ntalks, whose segments are not independent."
    return f"{note} With fewer than {MIN_TALKS} talks there\nis no interval over talks."


def _interval(row: Row, over: str) -> list[str]:
    """Such as ["[95.1, 98.9]"]; nothing for the teacher. over: "" or "by_talk_"."""
    low, high = (row[f"percent_of_teacher_{over}{end}"] for end in ("low", "high"))
    if low is None or row["system"] == TEACHER:
        return []
    return [f"[{low:.1f}, {high:.1f}]"]


def _fixed(number: float | None, digits: int) -> str:
    return MISSING if number is None else f"{number:.{digits}f}"
