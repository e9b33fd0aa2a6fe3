"""The rules that lead to a system's scores, so that a report can say which of them failed.

It imports the standard library alone, as systems does.
"""

from typing import NamedTuple

from slimspeech.systems import (
    BASE,
    DATA_PARTS,
    PAIR,
    SENSITIVITIES,
    TRANSLATING,
    Config,
    Pruned,
    adapter_owner,
    budget_file,
    is_open,
    kept_adapter,
    layers_file,
    parse_pruned,
    pruned_model,
    search_length,
    stage_owners,
    stages,
    start_model,
    student_start,
    trimmed_model,
    trimming,
    unmeasured_criteria,
)

LOGS = "logs/{experiment}/{pair}"


class Step(NamedTuple):
    """A file or folder, and the rules that lead to it, in order, each with its log (a pattern of
    `glob`).
    """

    output: str
    logs: dict[str, str]


def steps(config: Config, system: str) -> list[Step]:
    """The steps that lead to a system's scores, in order.

    system: a system, or a name of evaluation.texts.
    """
    data = Step(
        f"{PAIR}/data/test.jsonl",
        {"prepare_segments": "logs/{experiment}/prepare_segments.log"} | _logs("split_manifest"),
    )
    if system in config["evaluation"].get("texts", {}):
        scores = f"{PAIR}/submission/{system}/scores.json"
        return [data, Step(scores, _logs("score_talks", job=system))]
    chain = [data]
    if system != BASE and not config["teacher"]["model"]:
        chain.append(Step(f"{PAIR}/teacher", _logs("train_teacher")))
    if system in config["students"]:
        chain += _student_steps(config, system)
    elif pruned := parse_pruned(config, system):
        chain += _pruned_steps(config, pruned)
    folder = f"{PAIR}/evaluation/{system}"
    return [
        *chain,
        Step(f"{folder}/hypotheses.jsonl", _logs("translate_test", job=system)),
        Step(f"{folder}/scores.json", _logs("score_hypotheses", job=system)),
    ]


def _logs(*rules: str, job: str = "") -> dict[str, str]:
    """job: what tells the jobs of a rule apart in the names of their logs."""
    return {rule: f"{LOGS}/{rule}/{job}.log" if job else f"{LOGS}/{rule}.log" for rule in rules}


def _student_steps(config: Config, student: str) -> list[Step]:
    chain = _pruned_steps(config, student_start(config, student))
    chain += _budget_steps(config, student) if config["students"][student].get("budget") else []
    rules = {"full": "train_student", "qlora": "merge_adapter", "prune": "prune_stage"}
    if config.get("distillation", {}).get("engine"):
        translating = _logs("export_teacher", "write_teacher_requests", "run_teacher_in_vllm")
        translating |= _logs("check_teacher_parity")
        translating |= _logs("write_train_requests", "translate_train_in_vllm", job="*")
        translating |= _logs("gather_translations")
    else:
        translating = _logs("translate_train")
    data = {
        "distilled": Step(DATA_PARTS["distilled"], translating | _logs("filter_pseudo_labels")),
        "out_of_domain": Step(DATA_PARTS["out_of_domain"], _logs("prepare_out_of_domain")),
    }
    trimmed = Step(
        trimmed_model(student), _logs("choose_vocabulary", "trim_vocabulary", job=student)
    )
    if trimming(config, student) == "training":
        chain.append(trimmed)
    owners, kept = stage_owners(config, student), kept_adapter(config, student)
    names = list(owners)
    for name, stage in stages(config["students"][student]).items():
        chain += [step for part, step in data.items() if stage.get("data", {}).get(part)]
        logs = _logs("choose_segments") if stage["method"] == "prune" else {}
        if stage["method"] == "qlora":
            logs |= _logs("train_adapter", job=f"{adapter_owner(config, student, name)}-{name}")
        if kept and name == names[-1]:
            chain.append(Step(kept, logs))
            continue
        logs |= _logs(rules[stage["method"]], job=f"{owners[name]}-{name}")
        chain.append(Step(f"{PAIR}/students/{owners[name]}/{name}/model", logs))
    if trimming(config, student) == "packing":
        chain.append(trimmed)
    return [*chain, Step(f"{PAIR}/students/{student}/packed", _logs("pack_student", job=student))]


def _budget_steps(config: Config, student: str) -> list[Step]:
    """What leads to the choice, and to the model that it prunes."""
    chain = []
    if is_open(config, student):
        criterion, _ = student_start(config, student)
        length = min(search_length(config, criterion, pair) for pair in config["pairs"])
        chain = _search_steps(config, criterion, length)
    logs = _logs("choose_segments", "measure_sensitivities")
    chain.append(Step(SENSITIVITIES, logs))
    logs = _logs("bound_budget", "measure_vocabularies", "spend_budget", job=student)
    chain.append(Step(budget_file(student), logs))
    if is_open(config, student):
        logs = _logs("prune_to_budget", job=student)
        chain.append(Step(start_model(config, student), logs))
    return chain


def _pruned_steps(config: Config, pruned: Pruned) -> list[Step]:
    if not pruned.removed:
        return []
    criterion, removed = pruned
    logs = _logs("materialize_pruned", job=f"{criterion}_{removed:02d}")
    chain = _search_steps(config, criterion, removed)
    return [*chain, Step(pruned_model(config, pruned), logs)]


def _search_steps(config: Config, criterion: str, length: int) -> list[Step]:
    return [
        Step(
            layers_file(Pruned(criterion, k)),
            _logs("list_layers") | _search_logs(config, criterion, k),
        )
        for k in range(1, length + 1)
    ]


def _search_logs(config: Config, criterion: str, k: int) -> dict[str, str]:
    """The rules of one iteration of a search."""
    job = f"{criterion}_{k:02d}"
    if criterion in unmeasured_criteria(config):
        return _logs("select_layer_by_place", job=job)
    logs = _logs("choose_segments")
    logs |= _logs("encode_clips") if criterion in (*TRANSLATING, "kl") else {}
    logs |= _logs("score_unpruned") if criterion == "kl" else {}
    if criterion == "shortlist":
        logs |= _logs("propose_layers", job=job)
    logs |= _logs("score_layers", job=f"{job}_*") | _logs("gather_scores", job=job)
    if criterion == "comet":
        metric = config["pruning"]["comet"]
        logs["fetch_comet"] = f"logs/{{experiment}}/fetch_comet/{metric}.log"
        logs |= _logs("score_layers_by_comet", job=f"{k:02d}")
    return logs | _logs("select_layer", job=job)
