"""Reads one system of one pair from its folder below evaluation/ or submission/."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import SEGMENT_METRICS, align
from slimspeech.report.read.files import Reader
from slimspeech.report.results import SCORED, Cost, Interval, Score, System, Timing


def read_system(
    reader: Reader,
    folder: str,
    name: str,
    segments: Sequence[Row],
    comparison: Mapping[str, Any] | None,
    text_only: bool = False,
) -> System | None:
    """None if the system has no scores yet.

    folder: results/{experiment}/{pair}. comparison: the content of its comparison.json. text_only:
    the system is one of evaluation.texts.
    """
    student = f"{folder}/students/{name}"
    folder = f"{folder}/{'submission' if text_only else 'evaluation'}/{name}"
    scores = reader.json(f"{folder}/scores.json")
    if scores is None:
        return None
    size = reader.json(f"{folder}/size.json") or {}
    compared = (comparison or {}).get("systems", {}).get(name, {})
    files = {
        kind: f"{folder}/{kind}.json"
        for kind in ("scores", "size", "translation", "cost", "checks")
    }
    texts = "resegmented" if text_only else "hypotheses"
    files |= {"hypotheses": f"{folder}/{texts}.jsonl", "segments": f"{folder}/segments.csv"}
    files |= {kind: f"{student}/{kind}.json" for kind in ("packing", "vocabulary", "budget")}
    metrics = {
        metric: _score(result, compared.get(metric, {}))
        for metric, result in scores["metrics"].items()
    }
    talks = {talk: dict(part["metrics"]) for talk, part in scores.get("talks", {}).items()}
    segment_scores = _read_segment_scores(reader, files["segments"], segments)
    for path in reader.glob(f"{folder}/comet/*.json"):
        metric = PurePosixPath(path).stem
        files |= {metric: path, f"{metric} segments": f"{path}l"}
        result = reader.json(path)
        metrics[metric] = _score(result, compared.get(metric, {}))
        for talk, part in result.get("talks", {}).items():
            talks.setdefault(talk, {})[metric] = part["score"]
        if rows := reader.jsonl(f"{path}l"):
            segment_scores[metric] = [row["score"] for row in rows]
    return System(
        name=name,
        state=SCORED,
        text_only=text_only,
        scores=metrics,
        talks=talks,
        decoder_layers=size.get("decoder_layers"),
        weights=size.get("weights"),
        bytes=size.get("bytes"),
        quantization=size.get("quantization"),
        cost=_read_cost(reader, files),
        checks=reader.json(files["checks"]),
        packing=reader.json(files["packing"]),
        vocabulary=reader.json(files["vocabulary"]),
        budget=reader.json(files["budget"]),
        hypotheses=_read_hypotheses(reader, files["hypotheses"], segments),
        segment_scores=segment_scores,
        files={kind: path for kind, path in files.items() if reader.exists(path)},
    )


def _score(result: Mapping[str, Any], compared: Mapping[str, Any]) -> Score:
    """result: of scores.json or comet/; compared: the same metric in comparison.json."""
    retention = by_talk = None
    if compared.get("retention") is not None:
        keys = "retention_low", "retention_high"
        retention, by_talk = (
            Interval(compared["retention"], *map(ends.get, keys))
            for ends in (compared, compared.get("by_talk", {}))
        )
    return Score(
        score=Interval(result["score"], compared.get("low"), compared.get("high")),
        signature=result.get("signature"),
        retention=retention,
        retention_by_talk=by_talk,
        p_value=compared.get("p_value"),
    )


def _read_hypotheses(reader: Reader, path: str, segments: Sequence[Row]) -> list[str]:
    rows = reader.jsonl(path)
    if rows is None or not segments:
        return []
    try:
        return align(rows, segments)[0]
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _read_segment_scores(
    reader: Reader, path: str, segments: Sequence[Row]
) -> dict[str, list[float]]:
    rows = {row["id"]: row for row in reader.csv(path) or []}
    if not rows or not segments:
        return {}
    metrics = [name for name in SEGMENT_METRICS if name in next(iter(rows.values()))]
    try:
        return {name: [float(rows[row["id"]][name]) for row in segments] for name in metrics}
    except KeyError as error:
        raise InputError(f"{path}: no row for segment {error}; remove it and run again") from error


def _read_cost(reader: Reader, files: Mapping[str, str]) -> Cost | None:
    """The separate measurement if there is one, else the time for translating the test set."""
    if cost := reader.json(files["cost"]):
        return as_cost(cost)
    if translation := reader.json(files["translation"]):
        ratio = Interval(translation["seconds"] / translation["audio_seconds"])
        timing = Timing(translation["batch_size"], True, ratio)
        return Cost(translation["device"], translation["dtype"], translation["clips"], 1, [timing])
    return None


def as_cost(cost: Mapping[str, Any]) -> Cost:
    """cost: the content of cost.json, of a system or of an engine."""
    timings = [
        Timing(
            batch["batch_size"],
            batch["best"],
            _spread(batch["real_time_factor"]),
            _spread(batch["tokens_per_second"]),
        )
        for batch in cost["batches"]
    ]
    return Cost(
        cost["device"],
        cost["compute_dtype"],
        cost["clips"],
        cost["repeats"],
        timings,
        load_seconds=_spread(cost["load_seconds"]),
        peak_memory=cost.get("peak_memory_bytes"),
        memory_kind=cost.get("memory_kind"),
    )


def _spread(measured: Mapping[str, float]) -> Interval:
    return Interval(measured["median"], measured["low"], measured["high"])
