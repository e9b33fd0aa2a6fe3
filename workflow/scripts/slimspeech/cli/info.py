"""slimspeech info: describes a model directory: its size, scores and origin."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from slimspeech import languages
from slimspeech.errors import InputError
from slimspeech.formatting import aligned, file_size, weight_count
from slimspeech.release.deployment import FACTS, Deployment, read_deployment


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="describe a model: size, layers, scores, origin",
        description="Describe a model directory. The weights are not loaded.",
    )
    parser.add_argument("model", metavar="DIR", help="a release, or any other model directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    model = describe(read_deployment(arguments.model))
    print(json.dumps(model, ensure_ascii=False, indent=2) if arguments.json else text(model))
    return 0


def describe(deployment: Deployment) -> dict[str, Any]:
    """The known values, with the keys of slimspeech.json; the size is measured.

    facts_from: "slimspeech.json", "results" for values from a results folder, or None.
    """
    from slimspeech.models.size import measure_size

    prompt = deployment.prompt
    facts_from = FACTS if (deployment.directory / FACTS).is_file() else "results"
    return {
        "directory": str(deployment.directory),
        "facts_from": facts_from if deployment.facts else None,
        **deployment.facts,
        "pair": deployment.pair,
        "prompt": {"system": prompt.system, "user": prompt.user, "template": prompt.template},
        "languages": prompt.languages,
        "generation": {"max_new_tokens": deployment.max_new_tokens},
        "size": measure_size(deployment.directory),
    }


def text(model: Mapping[str, Any]) -> str:
    """The description for a terminal, without unknown values. model: as of describe().

    Raises InputError for values that no release has.
    """
    try:
        return _text(model)
    except (LookupError, TypeError, ValueError, AttributeError, StopIteration) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{model['directory']}: its {FACTS} has values that no release has "
            f"({type(error).__name__}: {error}); make the release again, or see them by --json"
        ) from error


def _text(model: Mapping[str, Any]) -> str:
    sections = [_overview(model), _parts(model["size"])]
    if model.get("scores"):
        sections.append(_scores(model))
    sections.append(_provenance(model))
    return "\n\n".join(sections)


def _overview(model: Mapping[str, Any]) -> str:
    size, pair = model["size"], model["pair"]
    lines = [model["directory"]]
    if model.get("system"):
        lines.append(f"  system      {model['system']} of experiment {model['experiment']}")
    lines.append(f"  translates  {_languages(pair, model['languages'])}")
    lines.append(f"  weights     {size['weights']:,} ({weight_count(size['weights'])})")
    lines.append(f"  size        {size['bytes']:,} bytes ({file_size(size['bytes'])})")
    lines.append(f"  layers      {_layers(size['decoder_layers'], model.get('layers'))}")
    lines.append(f"  quantised   {size['quantization']}")
    if speed := _speed(model.get("cost")):
        lines.append(f"  speed       {speed}")
    return "\n".join(lines)


def _languages(pair: str | None, names: Mapping[str, str]) -> str:
    if pair is None:
        return "unknown; give --to"
    return f"{languages.title(pair, dict(names))} ({pair})"


def _layers(count: int, layers: Mapping[str, Any] | None) -> str:
    if not layers:
        return f"{count} in the decoder"
    parts = {"decoder": layers, "encoder": layers.get("encoder")}
    return "; ".join(_removed(part, numbers) for part, numbers in parts.items() if numbers)


def _removed(part: str, layers: Mapping[str, list[int]]) -> str:
    kept, removed = len(layers["kept"]), layers["removed"]
    whole = f"{kept} of {kept + len(removed)} in the {part}"
    if not removed:
        return f"{whole}, none removed"
    return f"{whole}, removed in this order: {', '.join(map(str, removed))}"


def _speed(cost: Mapping[str, Any] | None) -> str | None:
    """At the fastest batch size."""
    if not cost:
        return None
    best = next(batch for batch in cost["batches"] if batch["best"])
    return (
        f"{best['real_time_factor']['median']:.3f} s per second of audio, "
        f"{file_size(cost['peak_memory_bytes'])} of memory; on {cost['device']}, "
        f"batch size {best['batch_size']}"
    )


def _parts(size: Mapping[str, Any]) -> str:
    rows = [
        [
            part,
            f"{count:,}",
            f"{size['bytes_by_part'][part]:,}",
            f"{100 * size['bytes_by_part'][part] / size['bytes']:.1f} %",
            ", ".join(size["dtypes_by_part"].get(part, [])),
        ]
        for part, count in size["weights_by_part"].items()
    ]
    return aligned(["part", "weights", "bytes", "of all", "stored as"], rows)


def _scores(model: Mapping[str, Any]) -> str:
    """Scores on the test set with their 95 % intervals."""
    from slimspeech.evaluation.score_table import TITLES

    metrics = list(dict.fromkeys(m for scores in model["scores"].values() for m in scores))
    header = ["test set"]
    for metric in metrics:
        header += [TITLES.get(metric, metric), "of teacher"]
    rows = []
    for system, scores in model["scores"].items():
        row = [system]
        for metric in metrics:
            score = scores.get(metric) or {}
            row += [
                _with_interval(score, "score", "low", "high"),
                _with_interval(score, "retention", "retention_low", "retention_high"),
            ]
        rows.append(row)
    return aligned(header, rows) + "\n95 % intervals in brackets; of teacher: in percent"


def _with_interval(score: Mapping[str, Any], *keys: str) -> str:
    value, low, high = (score.get(key) for key in keys)
    if value is None:
        return "–"
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None else "")


def _provenance(model: Mapping[str, Any]) -> str:
    prompt = model["prompt"]
    lines = [f"system prompt  {prompt['system'] or '-'}", f"request        {prompt['user']}"]
    if base := model.get("base_model"):
        revision = model.get("base_revision")
        lines.append(f"base model     {base}" + (f" at {revision}" if revision else ""))
    if recipe := model.get("recipe"):
        stages = [_stage(stage) for stage in recipe["stages"]]
        lines.append(f"recipe         {'; '.join(stages) or 'no training'}")
    for corpus in model.get("corpora") or []:
        licence = corpus.get("licence") or "licence unknown"
        name = corpus.get("name") or corpus["corpus"]
        lines.append(f"{corpus['role'].replace('_', ' '):<15}{name} ({licence})")
    if software := model.get("software"):
        named = ", ".join(f"{name} {version}" for name, version in software.items())
        lines.append(f"software       {named}")
    if model["facts_from"] is None:
        lines.append("origin unknown: no slimspeech.json, and not in a results folder")
    return "\n".join(lines)


def _stage(stage: Mapping[str, Any]) -> str:
    if stage["method"] == "prune":
        return f"prune {stage['layers']} {stage['part']} layers"
    data = ", ".join(
        f"{name.replace('_', ' ')} ×{times}"
        for name, times in stage["data"].items()
        if name != "out_of_domain_clips"
    )
    return f"{stage['method']} on {data}, {stage['training']['epochs']:g} epochs"
