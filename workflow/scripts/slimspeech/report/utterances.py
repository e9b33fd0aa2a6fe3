"""The data of the page's browser of utterances; texts are data, never markup."""

import json
from collections.abc import Mapping
from typing import Any

from slimspeech.evaluation.score_table import TEACHER
from slimspeech.languages import WRITTEN_WITHOUT_SPACES
from slimspeech.report.results import Experiment, Pair, title


def utterances(experiment: Experiment, clips: Mapping[str, str]) -> dict[str, Any]:
    """All segments of all pairs with their translations; each clip is stored once."""
    used = list(dict.fromkeys(row["audio"] for pair in experiment.pairs for row in pair.segments))
    numbers = {path: number for number, path in enumerate(path for path in used if path in clips)}
    return {
        "teacher": TEACHER,
        "clips": [clips[path] for path in numbers],
        "pairs": [_pair(pair, numbers) for pair in experiment.pairs if pair.segments],
    }


def as_script(value: Any) -> str:
    """JSON that is safe inside a script element: it contains no `<`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _pair(pair: Pair, clips: Mapping[str, int]) -> dict[str, Any]:
    systems = [system for system in pair.scored if system.hypotheses]
    metrics = list(dict.fromkeys(name for system in systems for name in system.segment_scores))
    # The page shows the metric that ranks the pair first.
    metrics.sort(key=lambda name: name != pair.metric)
    flags = {system.name: _flags(system.checks) for system in systems}
    return {
        "code": pair.code,
        "title": pair.title,
        "target": pair.target,
        "source": pair.code.split("-")[0],
        "words": pair.target not in WRITTEN_WITHOUT_SPACES,
        "metrics": [{"name": name, "title": title(name)} for name in metrics],
        "systems": [system.name for system in systems],
        "segments": [
            {
                "id": row["id"],
                "talk": row["talk"],
                "seconds": row["duration"],
                "clip": clips.get(row["audio"]),
                "source": row["source"],
                "reference": row["target"],
                "hypotheses": [system.hypotheses[i] for system in systems],
                "scores": [
                    [
                        round(system.segment_scores[name][i], 4)
                        if name in system.segment_scores
                        else None
                        for system in systems
                    ]
                    for name in metrics
                ],
                "flags": [flags[system.name].get(row["id"], []) for system in systems],
            }
            for i, row in enumerate(pair.segments)
        ],
    }


def _flags(checks: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """The findings of checks.json by segment id."""
    flags: dict[str, list[str]] = {}
    if not checks:
        return flags
    for key in ("empty", "copied_source", "too_long", "too_short", "repetition"):
        for item in checks.get(key) or []:
            name = item["id"] if isinstance(item, Mapping) else item
            flags.setdefault(name, []).append(key.replace("_", " "))
    for item in (checks.get("language") or {}).get("other", []):
        flags.setdefault(item["id"], []).append(f"language: {item['found']}")
    return flags
