"""The tables of a model card, in Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from slimspeech.artifacts import Row
from slimspeech.evaluation.metrics import METRICS
from slimspeech.evaluation.score_table import COMET_DIGITS, TITLES
from slimspeech.formatting import MISSING, aligned, file_size, text_table, weight_count
from slimspeech.systems import TEACHER

Facts = Mapping[str, Any]

PART_TITLES = {
    "audio_tower": "audio encoder",
    "projector": "projector",
    "embedding": "embedding",
    "decoder": "decoder layers",
    "head": "output head",
    "adapter": "adapter",
}
DATA_TITLES = {
    "gold": "gold translations",
    "distilled": "translations by the teacher",
    "out_of_domain": "out-of-domain speech",
}


def score_table(facts: Facts) -> str:
    """One row per system: each metric with its interval, and the percentage of the teacher's."""
    scores = facts["scores"]
    columns = 2 if TEACHER in scores else 1  # of each metric
    header = ["system"]
    rows = [[_system(facts, system)] for system in scores]
    for metric in facts["signatures"]:
        header += [title(metric), "of teacher"][:columns]
        for row, (system, results) in zip(rows, scores.items(), strict=True):
            row += _score_cells(metric, results.get(metric), system)[:columns]
    return aligned(header, rows)


def title(metric: str) -> str:
    return TITLES.get(metric, metric)


def _score_cells(metric: str, result: Mapping[str, Any] | None, system: str) -> list[str]:
    if result is None:
        return [MISSING, MISSING]
    digits = 1 if metric in METRICS else COMET_DIGITS
    score = f"{result['score']:.{digits}f}"
    if result["low"] is not None:
        score += f" [{result['low']:.{digits}f}, {result['high']:.{digits}f}]"
    retention = MISSING
    if result["retention"] is not None:
        retention = f"{result['retention']:.1f} %"
        if system != TEACHER and result["retention_low"] is not None:
            retention += f" [{result['retention_low']:.1f}, {result['retention_high']:.1f}]"
    return [score, retention]


def size_table(facts: Facts) -> str:
    """Layers, weights and bytes of the student and of the models that it was made from."""
    sizes = {name: other["size"] for name, other in facts["others"].items()}
    sizes[facts["system"]] = facts["size"]
    base = sizes.get("base")
    rows = [
        [
            _system(facts, system),
            str(size["decoder_layers"]),
            weight_count(size["weights"]),
            file_size(size["bytes"]),
            f"{100 * size['bytes'] / base['bytes']:.1f} %" if base else MISSING,
            "NF4" if size["quantization"] == "nf4" else MISSING,
        ]
        for system, size in sizes.items()
    ]
    return aligned(["system", "decoder layers", "weights", "size", "of base", "quantised"], rows)


def part_table(size: Mapping[str, Any]) -> str:
    rows = [
        [
            PART_TITLES.get(part, part),
            weight_count(size["weights_by_part"][part]),
            file_size(count),
            ", ".join(size["dtypes_by_part"].get(part, [])),
        ]
        for part, count in size["bytes_by_part"].items()
    ]
    return aligned(["part", "weights", "size", "stored as"], rows)


def speed_table(facts: Facts) -> str:
    """Speed clip by clip and at the best batch size, of every system that was measured."""
    header = ["system", "in", "load", "batch", "s / audio s", "tokens / s", "peak memory"]
    rows = [
        [
            _system(facts, system),
            cost["compute_dtype"],
            f"{cost['load_seconds']['median']:.1f} s",
            str(batch["batch_size"]),
            f"{batch['real_time_factor']['median']:.3f}",
            f"{batch['tokens_per_second']['median']:.1f}",
            file_size(batch["peak_memory_bytes"]),
        ]
        for system, cost in costs(facts).items()
        for batch in cost["batches"]
        if batch["batch_size"] == 1 or batch["best"]
    ]
    return aligned(header, rows)


def costs(facts: Facts) -> dict[str, Mapping[str, Any]]:
    """cost.json of every system that was measured, the student last."""
    others = {name: other["cost"] for name, other in facts["others"].items() if other["cost"]}
    return others | {facts["system"]: facts["cost"]}


def recipe_table(facts: Facts) -> str:
    rows = recipe_steps(facts["recipe"], facts["teacher"], facts["size"])
    return text_table(["step", "description"], rows)


def recipe_steps(recipe: Facts, teacher: Facts, size: Facts) -> list[tuple[str, str]]:
    """The steps that made a student: (name, description).

    recipe, teacher: of the config. size: content of size.json.
    """
    steps = [("teacher", _teacher(teacher))]
    if recipe["layers_removed"]:
        fixed = {"middle": "from the middle of the stack", "last": "from its end"}
        how = fixed.get(recipe["criterion"], f"by the criterion `{recipe['criterion']}`")
        steps.append(("layers", f"{recipe['layers_removed']} decoder layers removed, {how}"))
    if recipe.get("budget"):
        how = "what the recipe left open was chosen to fit, by the loss of each change alone"
        steps.append(("budget", f"{recipe['budget']}: {how}"))
    vocabulary = recipe.get("vocabulary")
    trimmed = [("vocabulary", f"trimmed to {vocabulary['size']} tokens")] if vocabulary else []
    if vocabulary and vocabulary["before"] == "training":
        steps += trimmed
    last = len(recipe["stages"]) if recipe.get("merge") == "keep" else None
    steps += [
        (f"stage {number}, {stage['method']}", _stage(stage, is_kept=number == last))
        for number, stage in enumerate(recipe["stages"], start=1)
    ]
    four_bit = [
        PART_TITLES.get(part, part)
        for part, dtypes in size["dtypes_by_part"].items()
        if "nf4" in dtypes
    ]
    packed = "bfloat16, not quantised"
    if four_bit:
        packed = f"4-bit NF4, double quantisation: {', '.join(four_bit)}; the rest bfloat16"
    if vocabulary and vocabulary["before"] == "packing":
        steps += trimmed
    return [*steps, ("packed", packed)]


def _teacher(teacher: Facts) -> str:
    if teacher["model"]:
        return "a model from elsewhere; it was not trained here"
    training = _training(teacher["training"])
    return f"the base model, all weights trained on gold translations; {training}"


def _stage(stage: Mapping[str, Any], is_kept: bool) -> str:
    if stage["method"] == "prune":
        return f"{stage['layers']} layers of the {stage['part']} removed"
    data = [
        (f"{factor} × " if factor > 1 else "") + DATA_TITLES[part]
        for part, factor in stage["data"].items()
        if factor and part in DATA_TITLES
    ]
    if stage["method"] == "full":
        how = "all weights trained"
    else:
        lora = stage["lora"]
        how = f"LoRA (r {lora['r']}, alpha {lora['alpha']}) on the 4-bit model, "
        how += "kept beside it" if is_kept else "merged"
    return f"{how}; on {', '.join(data)}; {_training(stage['training'])}"


def _training(training: Mapping[str, Any]) -> str:
    batch = training["batch_size"] * training["gradient_accumulation"]
    epochs = f"{training['epochs']:g} epoch{'s' * (training['epochs'] != 1)}"
    rate, schedule = f"{training['learning_rate']:g}", training["scheduler"]
    return f"{epochs}, batch {batch}, learning rate {rate}, {schedule} schedule"


def corpora_table(corpora: Sequence[Row]) -> str:
    roles = {"gold": "gold: trained and tested on", "out_of_domain": "out of domain"}
    rows = [
        [
            corpus["name"],
            roles.get(corpus["role"], corpus["role"]),
            corpus["licence"] or "not known",
            corpus["url"] or MISSING,
        ]
        for corpus in corpora
    ]
    return text_table(["corpus", "used as", "licence", "where"], rows)


def _system(facts: Facts, system: str) -> str:
    return f"**this student ({system})**" if system == facts["system"] else system
