"""Made-up results of any size, to write a report of."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from slimspeech.artifacts import write_csv, write_json, write_jsonl

WORDS = (
    *(
        "the",
        "model",
        "speech",
        "translates",
        "a",
        "talk",
        "another",
        "language",
        "without",
        "pause",
    ),
)
RATE = 16000
LAYERS = 12


def make_results(
    root: Path,
    pairs: Sequence[str] = ("en-de",),
    segments: int = 12,
    systems: int = 4,
    seconds: float = 0.5,
    hypothesis: str | None = None,
) -> dict[str, Any]:
    """Write results/made under `root` and give its config.

    systems: `base`, `teacher`, and students. seconds: length of each clip. hypothesis: every
    system's hypothesis of the first segment.
    """
    generator = random.Random(0)
    students = [f"S{i}" for i in range(1, systems - 1)]
    # No two are alike: students that begin alike share their stages.
    recipes = {
        student: {
            "layers_removed": 2,
            "criterion": None,
            "stages": [{"method": "full", "data": {"gold": number, "distilled": 1}}],
        }
        for number, student in enumerate(students, start=1)
    }
    config = {
        "experiment": "made",
        "pairs": list(pairs),
        "seed": 0,
        "languages": {},
        "teacher": {"model": None},
        "pruning": {"criterion": "chrf", "iterations": 2, "sets": {}},
        "students": recipes,
        "evaluation": {"systems": ["base", "teacher", *students]},
        "report": {"audio": "embed", "published": False},
    }
    folder = root / "results" / "made"
    write_json(folder / "config.json", config)
    audio = _make_clips(root, segments, seconds)
    for pair in pairs:
        _make_pair(folder / pair, config, generator, audio, seconds, hypothesis)
    return config


def _make_clips(root: Path, count: int, seconds: float) -> list[str]:
    times = np.arange(int(seconds * RATE)) / RATE
    # A buzz of 150 Hz takes an audio encoder as long as speech; a pure tone takes less.
    overtones = [np.sin(2 * np.pi * 150 * k * times) for k in range(1, 40)]
    samples = 0.02 * sum(overtones) * (1 + np.sin(7 * times))
    paths = [f"results/made/data/audio/eval/sent_{i}.wav" for i in range(1, count + 1)]
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(root / path, samples.astype("float32"), RATE, subtype="PCM_16")
    return paths


def _make_pair(
    folder: Path,
    config: dict[str, Any],
    generator: random.Random,
    audio: Sequence[str],
    seconds: float,
    hypothesis: str | None,
) -> None:
    def sentence() -> str:
        return " ".join(generator.choices(WORDS, k=18))

    rows = [
        {
            "id": f"eval-{i}",
            "talk": f"talk.{1 + 4 * i // len(audio)}",
            "audio": path,
            "duration": seconds,
            "source": sentence(),
            "target": sentence(),
            "pair": folder.name,
        }
        for i, path in enumerate(audio)
    ]
    for part in ("train", "validation", "test"):
        write_jsonl(folder / "data" / f"{part}.jsonl", rows)
    curve = [{"step": i, "epoch": i / 20, "loss": 3 / (1 + i)} for i in range(10, 61, 10)]
    curve += [{"step": 60, "epoch": 3.0, "eval_loss": 0.5}]
    write_jsonl(folder / "curves" / "teacher.jsonl", curve)
    benchmark = {"s": 12.5, "max_rss": 100.0, "cpu_time": 10.0}
    write_jsonl(folder / "benchmarks" / "train_teacher.jsonl", [benchmark])
    for student in config["students"]:
        write_jsonl(folder / "students" / student / "1-full" / "curve.jsonl", curve)
    _make_search(folder / "pruning" / "chrf", generator)
    compared = {}
    for number, name in enumerate(config["evaluation"]["systems"]):
        hypotheses = [sentence() for _ in rows]
        if hypothesis is not None:
            hypotheses[0] = hypothesis
        compared[name] = _make_system(folder, name, number, rows, hypotheses, generator)
    write_json(
        folder / "evaluation" / "comparison.json",
        {"pair": folder.name, "baseline": "teacher", "segments": len(rows), "systems": compared},
    )


def _make_search(folder: Path, generator: random.Random) -> None:
    kept, removed = list(range(LAYERS)), []
    write_json(folder.parent / "iter_00" / "score.json", {"metric": "chrf++", "score": 50.0})
    for k in (1, 2):
        scores = {layer: 50 - 10 * k + generator.random() for layer in kept[1:-1]}
        best, second, *_ = sorted(scores, key=scores.get, reverse=True)
        kept.remove(best)
        removed.append(best)
        iteration = folder / f"iter_{k:02d}"
        write_csv(
            iteration / "scores.csv",
            [{"layer": layer, "metric": "chrf++", "score": s} for layer, s in scores.items()],
        )
        write_json(
            iteration / "layers.json",
            {
                "kept": kept,
                "removed": removed,
                "metric": "chrf++",
                "score": scores[best],
                "runner_up": second,
                "difference": scores[best] - scores[second],
                "interval": [-1.0, 1.5],
                "shares": {str(second): 0.55, str(best): 0.45},
                "regret": 0.5,
            },
        )


def _make_system(
    folder: Path,
    name: str,
    number: int,
    rows: Sequence[dict[str, Any]],
    hypotheses: Sequence[str],
    generator: random.Random,
) -> dict[str, Any]:
    """Write a system's files; returns its entry in comparison.json."""
    folder, pair = folder / "evaluation" / name, folder.name
    scores = {"bleu": 30.0 - number, "chrf": 56.0 - number, "chrf++": 55.0 - number}
    talks = {row["talk"]: {"segments": 1, "metrics": scores} for row in rows}
    write_jsonl(
        folder / "hypotheses.jsonl",
        [{"id": row["id"], "hypothesis": text} for row, text in zip(rows, hypotheses, strict=True)],
    )
    write_json(
        folder / "scores.json",
        {
            "pair": pair,
            "system": name,
            "segments": len(rows),
            "metrics": {m: {"score": s, "signature": f"{m}|made"} for m, s in scores.items()},
            "talks": talks,
        },
    )
    write_csv(
        folder / "segments.csv",
        [
            {"id": row["id"], "chrf": 50.0, "chrf++": round(20 + 60 * generator.random(), 3)}
            for row in rows
        ],
    )
    write_json(
        folder / "size.json",
        {"weights": 4_000_000, "decoder_layers": LAYERS, "bytes": 8_000_000 - 500_000 * number},
    )
    write_json(
        folder / "translation.json",
        {
            "seconds": 3.0 + number,
            "audio_seconds": 100.0,
            "clips": len(rows),
            "batch_size": 8,
            "device": "CPU, 1 thread",
            "dtype": "float32",
        },
    )
    retention = 100 * scores["chrf++"] / 54.0
    return {
        metric: {
            "score": score,
            "low": score - 2,
            "high": score + 2,
            "difference": score - (scores[metric] + number - 1),
            "p_value": 0.06,
            "sacrebleu_p_value": 0.03,
            "retention": retention,
            "retention_low": retention - 3,
            "retention_high": retention + 3,
            "by_talk": {"retention_low": retention - 5, "retention_high": retention + 5},
        }
        for metric, score in scores.items()
    }
