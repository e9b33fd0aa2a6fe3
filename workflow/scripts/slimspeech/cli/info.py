"""slimspeech info: what a model directory is, how large, how good, and where it comes from."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from slimspeech import languages
from slimspeech.formatting import file_size, weight_count
from slimspeech.release.deployment import FACTS, Deployment, read_deployment


def add_parser(subparsers) -> None:
    parser = subparsers.add_parser(
        "info",
        help="say what a model is: size, layers, scores, origin",
        description="Say what a model directory is. The weights are not loaded.",
    )
    parser.add_argument("model", metavar="DIR", help="a release, or any other model directory")
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    deployment = read_deployment(arguments.model)
    found = describe(deployment)
    print(json.dumps(found, ensure_ascii=False, indent=2) if arguments.json else text(found))
    return 0


def describe(deployment: Deployment) -> dict[str, Any]:
    """What is known, by the keys of slimspeech.json; the size is measured anew.

    facts_from: slimspeech.json, the folder of results that knows the rest, or None.
    """
    from slimspeech.models.size import measure_size

    prompt = deployment.prompt
    return {
        "directory": str(deployment.directory),
        "facts_from": _facts_from(deployment),
        **deployment.facts,
        "pair": deployment.pair,
        "prompt": {"system": prompt.system, "user": prompt.user, "template": prompt.template},
        "languages": prompt.languages,
        "generation": {"max_new_tokens": deployment.max_new_tokens},
        "size": measure_size(deployment.directory),
    }


def _facts_from(deployment: Deployment) -> str | None:
    if (deployment.directory / FACTS).is_file():
        return FACTS
    return "results" if deployment.facts else None


def text(found: Mapping[str, Any]) -> str:
    """For the terminal: what is not known is left out."""
    sections = [_overview(found), _parts(found["size"])]
    if found.get("scores"):
        sections.append(_scores(found))
    sections.append(_provenance(found))
    return "\n\n".join(sections)


def _overview(found: Mapping[str, Any]) -> str:
    size, pair = found["size"], found["pair"]
    lines = [found["directory"]]
    if found.get("system"):
        lines.append(f"  system      {found['system']} of experiment {found['experiment']}")
    lines.append(f"  translates  {_languages(pair, found['languages'])}")
    lines.append(f"  weights     {size['weights']:,} ({weight_count(size['weights'])})")
    lines.append(f"  size        {size['bytes']:,} bytes ({file_size(size['bytes'])})")
    lines.append(f"  layers      {_layers(size['decoder_layers'], found.get('layers'))}")
    lines.append(f"  quantised   {size['quantization']}")
    if speed := _speed(found.get("cost")):
        lines.append(f"  speed       {speed}")
    return "\n".join(lines)


def _languages(pair: str | None, names: Mapping[str, str]) -> str:
    if pair is None:
        return "unknown; say --to"
    source, target = (languages.name(code, dict(names)) for code in pair.split("-", 1))
    return f"{source} to {target} ({pair})"


def _layers(count: int, layers: Mapping[str, Any] | None) -> str:
    if not layers:
        return f"{count} in the decoder"
    parts = {"decoder": layers, "encoder": layers.get("encoder")}
    return "; ".join(_removed(part, found) for part, found in parts.items() if found)


def _removed(part: str, found: Mapping[str, list[int]]) -> str:
    kept, removed = len(found["kept"]), found["removed"]
    whole = f"{kept} of {kept + len(removed)} in the {part}"
    if not removed:
        return f"{whole}, none removed"
    return f"{whole}, removed in this order: {', '.join(map(str, removed))}"


def _speed(cost: Mapping[str, Any] | None) -> str | None:
    """At the batch size that is fastest."""
    if not cost:
        return None
    best = next(batch for batch in cost["batches"] if batch["best"])
    return (
        f"{best['real_time_factor']['median']:.3f} s for a second of audio, "
        f"{file_size(cost['peak_memory_bytes'])} of memory at most; on {cost['device']}, "
        f"batch size {best['batch_size']}"
    )


def _parts(size: Mapping[str, Any]) -> str:
    from slimspeech.formatting import aligned

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


def _scores(found: Mapping[str, Any]) -> str:
    """On the test set, each with its 95 % interval."""
    from slimspeech.evaluation.score_table import TITLES
    from slimspeech.formatting import aligned

    metrics = list(dict.fromkeys(m for scores in found["scores"].values() for m in scores))
    header = ["test set"]
    for metric in metrics:
        header += [TITLES.get(metric, metric), "of teacher"]
    rows = []
    for system, scores in found["scores"].items():
        row = [system]
        for metric in metrics:
            score = scores.get(metric) or {}
            row += [
                _with_interval(score, "score", "low", "high"),
                _with_interval(score, "retention", "retention_low", "retention_high"),
            ]
        rows.append(row)
    return aligned(header, rows) + "\n95 % intervals in brackets; of teacher: in percent"


def _with_interval(found: Mapping[str, Any], *keys: str) -> str:
    value, low, high = (found.get(key) for key in keys)
    if value is None:
        return "–"
    return f"{value:.1f}" + (f" [{low:.1f}, {high:.1f}]" if low is not None else "")


def _provenance(found: Mapping[str, Any]) -> str:
    prompt = found["prompt"]
    lines = [f"system prompt  {prompt['system']}", f"request        {prompt['user']}"]
    if base := found.get("base_model"):
        revision = found.get("base_revision")
        lines.append(f"base model     {base}" + (f" at {revision}" if revision else ""))
    if recipe := found.get("recipe"):
        stages = [_stage(stage) for stage in recipe["stages"]]
        lines.append(f"recipe         {'; '.join(stages) or 'no training'}")
    for corpus in found.get("corpora") or []:
        licence = corpus.get("licence") or "licence unknown"
        name = corpus.get("name") or corpus["corpus"]
        lines.append(f"{corpus['role'].replace('_', ' '):<15}{name} ({licence})")
    if software := found.get("software"):
        named = ", ".join(f"{name} {version}" for name, version in software.items())
        lines.append(f"software       {named}")
    if found["facts_from"] is None:
        lines.append("nothing else is known of it: no slimspeech.json, and not in results/")
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
