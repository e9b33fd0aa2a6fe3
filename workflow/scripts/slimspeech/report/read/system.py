"""Reads one system of one pair from its folder below evaluation/ or submission/."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.evaluation.metrics import SEGMENT_METRICS, align
from slimspeech.report.read.files import Reader, number
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
    folder = f"{folder}/{'submission' if text_only else 'evaluation'}/{name}"
    scores = reader.json(f"{folder}/scores.json")
    if scores is None:
        return None
    size = reader.json(f"{folder}/size.json") or {}
    comet = _read_comet(reader, folder)
    against = (comparison or {}).get("systems", {}).get(name, {})
    metrics = scores["metrics"] | {metric: result for metric, (result, _) in comet.items()}
    names = ["scores", "size", "translation", "cost", "checks"]
    files = {key: f"{folder}/{key}.json" for key in names}
    texts = "resegmented" if text_only else "hypotheses"
    files |= {"hypotheses": f"{folder}/{texts}.jsonl", "segments": f"{folder}/segments.csv"}
    for metric in comet:
        files[metric] = f"{folder}/comet/{metric}.json"
        files[f"{metric} segments"] = f"{folder}/comet/{metric}.jsonl"
    return System(
        pair=scores["pair"],
        name=name,
        state=SCORED,
        text_only=text_only,
        scores={
            metric: _score(result, against.get(metric, {}), files.get(metric, files["scores"]))
            for metric, result in metrics.items()
        },
        talks=_talks(scores, {metric: result for metric, (result, _) in comet.items()}),
        decoder_layers=size.get("decoder_layers"),
        weights=size.get("weights"),
        bytes=size.get("bytes"),
        quantization=size.get("quantization"),
        cost=_read_cost(reader, files),
        checks=reader.json(files["checks"]),
        hypotheses=_read_hypotheses(reader, files["hypotheses"], segments),
        segment_scores=_read_segment_scores(reader, files["segments"], segments)
        | {metric: rows for metric, (_, rows) in comet.items() if rows},
        files={key: path for key, path in files.items() if reader.exists(path)},
    )


def _score(result: Mapping[str, Any], against: Mapping[str, Any], path: str) -> Score:
    return Score(
        score=Interval(
            number(result["score"], path, "a score"), against.get("low"), against.get("high")
        ),
        signature=result.get("signature"),
        retention=_interval(against, "retention"),
        difference=_interval(against, "difference"),
        p_value=against.get("p_value"),
    )


def _interval(against: Mapping[str, Any], key: str) -> Interval | None:
    if against.get(key) is None:
        return None
    return Interval(against[key], against.get(f"{key}_low"), against.get(f"{key}_high"))


def _read_comet(
    reader: Reader, folder: str
) -> dict[str, tuple[Mapping[str, Any], Sequence[float] | None]]:
    """By metric: its JSON, and the scores of segments."""
    comet = {}
    for path in reader.glob(f"{folder}/comet/*.json"):
        rows = reader.jsonl(f"{path}l")
        scores = [number(row["score"], f"{path}l", row["id"]) for row in rows] if rows else None
        comet[PurePosixPath(path).stem] = (reader.json(path), scores)
    return comet


def _talks(
    scores: Mapping[str, Any], comet: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float]]:
    talks = {talk: dict(part["metrics"]) for talk, part in scores.get("talks", {}).items()}
    for metric, result in comet.items():
        for talk, part in result.get("talks", {}).items():
            talks.setdefault(talk, {})[metric] = part["score"]
    return talks


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
    missing = [row["id"] for row in segments if row["id"] not in rows]
    if missing:
        raise InputError(
            f"{path}: no row for segment {missing[0]} and {len(missing) - 1} others; "
            "remove it and run again"
        )
    metrics = [name for name in SEGMENT_METRICS if name in next(iter(rows.values()))]
    return {
        name: [number(rows[row["id"]][name], path, row["id"]) for row in segments]
        for name in metrics
    }


def _read_cost(reader: Reader, files: Mapping[str, str]) -> Cost | None:
    """The separate measurement if there is one, else the time for translating the test set."""
    cost, translation = (reader.json(files[key]) for key in ("cost", "translation"))
    if cost:
        return Cost(
            device=cost["device"],
            dtype=cost["compute_dtype"],
            clips=cost["clips"],
            repeats=cost["repeats"],
            timings=[
                Timing(
                    batch_size=batch["batch_size"],
                    best=batch["best"],
                    seconds_per_audio_second=_spread(batch["real_time_factor"]),
                    tokens_per_second=_spread(batch["tokens_per_second"]),
                )
                for batch in cost["batches"]
            ],
            load_seconds=_spread(cost["load_seconds"]),
            peak_memory=cost.get("peak_memory_bytes"),
            memory_kind=cost.get("memory_kind"),
        )
    if translation:
        ratio = Interval(translation["seconds"] / translation["audio_seconds"])
        return Cost(
            device=translation["device"],
            dtype=translation["dtype"],
            clips=translation["clips"],
            repeats=1,
            timings=[Timing(translation["batch_size"], True, ratio)],
        )
    return None


def _spread(measured: Mapping[str, float]) -> Interval:
    return Interval(measured["median"], measured["low"], measured["high"])
