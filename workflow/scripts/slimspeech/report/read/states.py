"""Why a system has no scores: failed, by the log that one of its steps left, or not run."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from slimspeech.logs import last_error
from slimspeech.report.read.files import Reader
from slimspeech.report.results import FAILED, NOT_RUN, System
from slimspeech.systems import BASE, TEACHER

STOPPED = "left neither a result nor an error; it was stopped, or is still running"


class Step(NamedTuple):
    """An output, and the rules that lead to it in order, each with its log (a glob pattern)."""

    output: str
    rules: dict[str, str]


def state_of(reader: Reader, config: Mapping[str, Any], pair: str, name: str) -> System:
    """A system without scores: failed at the first step that left a log and no output.

    A job that was killed, or one that is running now, looks the same, but for its log's last line.
    """
    for step in _steps(config, pair, name):
        if reader.exists(step.output):
            continue
        logs = [(rule, log) for rule, pattern in step.rules.items() for log in reader.glob(pattern)]
        if not logs:
            return System(pair, name, NOT_RUN, f"waits for {next(iter(step.rules))}")
        errors = [(rule, log, error) for rule, log in logs if (error := _last_error(reader, log))]
        rule, log, error = errors[-1] if errors else (*logs[-1], STOPPED)
        return System(pair, name, FAILED, f"{rule}: {error}", log)
    return System(pair, name, NOT_RUN, "waits for score_hypotheses")


def _steps(config: Mapping[str, Any], pair: str, name: str) -> list[Step]:
    """What leads to a system's scores, in order."""
    logs = f"logs/{config['experiment']}/{pair}"
    folder = f"results/{config['experiment']}/{pair}"
    place = f"{folder}/evaluation/{name}"
    steps = [
        Step(
            f"{folder}/data/test.jsonl",
            {
                "prepare_segments": f"logs/{config['experiment']}/prepare_segments.log",
                "split_manifest": f"{logs}/split_manifest.log",
            },
        )
    ]
    if name in config["evaluation"].get("texts", {}):
        scores = f"{folder}/submission/{name}/scores.json"
        return [*steps, Step(scores, {"score_talks": f"{logs}/score_talks/{name}.log"})]
    if name != BASE and not config["teacher"]["model"]:
        steps.append(Step(f"{folder}/teacher", {"train_teacher": f"{logs}/train_teacher.log"}))
    if name in config["students"]:
        steps += _student_steps(config, logs, folder, name)
    elif name not in (BASE, TEACHER):
        *criterion, removed = name.removeprefix("pruned-").split("-")
        [criterion] = criterion or [config["pruning"]["criterion"]]
        steps += _search_steps(config, logs, folder, criterion, int(removed))
    return steps + [
        Step(f"{place}/hypotheses.jsonl", {"translate_test": f"{logs}/translate_test/{name}.log"}),
        Step(f"{place}/scores.json", {"score_hypotheses": f"{logs}/score_hypotheses/{name}.log"}),
    ]


def _student_steps(config: Mapping[str, Any], logs: str, folder: str, name: str) -> list[Step]:
    student = config["students"][name]
    criterion = student["criterion"] or config["pruning"]["criterion"]
    steps = _search_steps(config, logs, folder, criterion, student["layers_removed"])
    for number, stage in enumerate(student["stages"], start=1):
        place = f"{folder}/students/{name}/{number}-{stage['method']}"
        job = f"{name}-{number}-{stage['method']}.log"
        if stage.get("data", {}).get("distilled"):
            steps.append(
                Step(
                    f"{folder}/distillation/distilled.jsonl",
                    {
                        "translate_train": f"{logs}/translate_train.log",
                        "filter_pseudo_labels": f"{logs}/filter_pseudo_labels.log",
                    },
                )
            )
        rules = {
            "full": ["train_student"],
            "qlora": ["train_adapter", "merge_adapter"],
            "prune": ["prune_stage"],
        }[stage["method"]]
        steps.append(Step(f"{place}/model", {rule: f"{logs}/{rule}/{job}" for rule in rules}))
    packed = f"{folder}/students/{name}/packed"
    return [*steps, Step(packed, {"pack_student": f"{logs}/pack_student/{name}.log"})]


def _search_steps(
    config: Mapping[str, Any], logs: str, folder: str, criterion: str, removed: int
) -> list[Step]:
    unmeasured = criterion in ("middle", "last", *config["pruning"]["sets"])
    steps = []
    for k in range(1, removed + 1):
        job = f"{criterion}_{k:02d}"
        rules = {"select_layer_by_place": f"{logs}/select_layer_by_place/{job}.log"}
        if not unmeasured:
            rules = {
                "encode_clips": f"{logs}/encode_clips.log",
                "propose_layers": f"{logs}/propose_layers/{job}.log",
                "score_layers": f"{logs}/score_layers/{job}_*.log",
                "gather_scores": f"{logs}/gather_scores/{job}.log",
                "select_layer": f"{logs}/select_layer/{job}.log",
            }
        steps.append(Step(f"{folder}/pruning/{criterion}/iter_{k:02d}/layers.json", rules))
    return steps


def _last_error(reader: Reader, log: str) -> str | None:
    """What a log ends with, if that is an error."""
    return last_error((reader.root / log).read_text(encoding="utf-8", errors="replace"))
