# The config, checked, and the tables that the rules read from it.

import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

import config_checks
import config_form
import training_checks
from slimspeech import systems

if set("{}") & set(os.getcwd()):
    raise WorkflowError(
        f"{os.getcwd()}: Snakemake takes braces in the path of a project for placeholders; move the "
        "project to another folder"
    )

# Snakemake puts this path into shell commands without quotes, so a space in it would divide it.
if os.path.exists(sys.executable):
    sys.executable = shlex.quote(sys.executable)

if problem := config_form.problem(config):
    raise WorkflowError(f"config: {problem}")

if problems := [p for path in workflow.configfiles for p in config_form.repeated_keys(Path(path))]:
    raise WorkflowError(*(f"config: {problem}" for problem in problems))

try:
    validate(config, schema="../schemas/config.schema.yaml")
except WorkflowError as error:
    problem = config_form.schema_problem(error.__context__)
    raise WorkflowError(f"config: {problem}") from None

if problems := config_checks.problems(config):
    raise WorkflowError(*(f"config: {problem}" for problem in problems))

if workflow.is_main_process:  # a job of a cluster is a run of its own, with the GPUs of the job
    limit = workflow.global_resources.get("gpu").value
    local = workflow.resource_settings.nodes is None  # the executor is not known yet
    if problems := list(training_checks.gpu_problems(config, limit, local)):
        raise WorkflowError(*(f"config: {problem}" for problem in problems))


def sort_keys(value):
    """The same with sorted keys at every depth: params count as changed if their order changes."""
    if isinstance(value, dict):
        return {key: sort_keys(value[key]) for key in sorted(value, key=str)}
    return [sort_keys(item) for item in value] if isinstance(value, list) else value


config = sort_keys(config)
EXPERIMENT = f"results/{config['experiment']}"

# The folders of the experiment, one a seed, with their seeds.
RUNS = systems.runs(config)

# The training stages of each student in order, by the name of their folder: "1-full", "2-qlora", …
STAGES = {name: systems.stages(student) for name, student in config["students"].items()}

# How each student is made, its criterion filled in.
RECIPES = {student: systems.recipe(config, student) for student in STAGES}

# The students whose budget chooses the size of their vocabulary.
SIZED = [name for name in STAGES if len(systems.vocabulary_sizes(config, name)) > 1]

# The adapter that stays beside the packed weights of a student, or none.
KEPT_ADAPTERS = {student: systems.kept_adapter(config, student) or [] for student in STAGES}

# The searches that the experiment runs, the default first: how many layers each removes, by pair.
SEARCHES = {
    criterion: {pair: systems.search_length(config, criterion, pair) for pair in config["pairs"]}
    for criterion in systems.searches(config)
}

# Every removal of every search, in order.
REMOVALS = [
    {"pair": pair, "criterion": criterion, "iteration": k}
    for pair in config["pairs"]
    for criterion, lengths in SEARCHES.items()
    for k in range(1, lengths[pair] + 1)
]

# What is translated and scored, in the order of the tables.
SYSTEMS = config["evaluation"]["systems"]

# Those whose cost is measured.
COST = config["evaluation"]["cost"]
TIMED = [name for name in SYSTEMS if COST["repeats"] and name in COST.get("systems", SYSTEMS)]

# The exports of each student that run in vLLM.
SERVING = config["serving"]
SERVED = {
    student: SERVING["forms"] if student in SERVING.get("students", STAGES) else []
    for student in STAGES
}

# The teacher of a pair, and the segments that its searches translate.
TEACHER_MODEL = systems.teacher_model(config)
SEARCH_SEGMENTS = "results/{experiment}/{pair}/pruning/segments.jsonl"

# How many layers at each end of the stack are never removed.
PROTECTED = {key: config["pruning"][key] for key in ("protect_first", "protect_last")}


wildcard_constraints:
    experiment="|".join(RUNS),
    base_model=re.escape(os.path.basename(os.path.normpath(config["base"]["model"]))),
    pair="|".join(config["pairs"]),
    k=r"(?!00)\d\d",  # list_layers makes iteration 00
    criterion="|".join(systems.all_criteria(config)),
    student="|".join(config["students"]) or "none",
    stage=r"\d+-(full|qlora|prune)",
    form="bf16|int8|w4a16|Q8_0|Q4_K_M",
    engine=r"vllm|llama\.cpp",
    system=systems.system_pattern(config),
    entry="|".join([systems.system_pattern(config), *config["evaluation"]["texts"]]),
    test="|".join(map(re.escape, config["submission"]["tests"])) or "none",
    metric="|".join(map(re.escape, config["evaluation"]["comet"])) or "none",


scattergather:
    layers=config["pruning"]["shards"],
    clips=config["distillation"]["shards"],


def get_system_model(wildcards):
    """The directory that a system is scored from: for a student, the one that a user downloads."""
    return systems.system_model(config, wildcards.system)


def get_previous_layers(wildcards):
    """The layers kept after iteration k-1, from which iteration k removes one."""
    return systems.layers_file(systems.Pruned(wildcards.criterion, int(wildcards.k) - 1))


def get_seed(wildcards):
    """The seed of the trainings of a folder."""
    return RUNS[wildcards.experiment]


def get_training(wildcards):
    """The settings of a training: of a student's stage, or of the teacher."""
    student = wildcards.get("student")
    stage = config["teacher"] if student is None else STAGES[student][wildcards.stage]
    return stage["training"]


def get_of_training(name):
    """Of what a training asks for, the resource of that name, or None."""
    return lambda wildcards: training_checks.resources(get_training(wildcards)).get(name)


GPUS = {
    name: get_of_training(name)
    for name in ("gpu", "nodes", "mpi", "tasks", "tasks_per_node", "tasks_per_gpu")
}


def get_config(wildcards):
    """The config of a folder, with the seed that it is of."""
    return systems.run_config(config, wildcards.experiment)


def get_stage_start(wildcards):
    """The model that a stage starts from: that of the stage before it, or the pruned teacher."""
    names = list(STAGES[wildcards.student])
    if wildcards.stage not in names:
        raise WorkflowError(
            f"config: students.{wildcards.student} has no stage {wildcards.stage}, only "
            f"{', '.join(names) or 'none'}; ask for one of these"
        )
    return systems.stage_models(config, wildcards.student)[names.index(wildcards.stage)]


def get_trained_model(wildcards):
    """The model that a student is packed from, behind its stages and its trimming."""
    return systems.final_model(config, wildcards.student)


def get_adapter(wildcards):
    """The adapter of a stage, which students that merge it in different ways share."""
    return systems.adapter(config, wildcards.student, wildcards.stage)


def get_last_start(wildcards):
    """The model that a student's last stage starts from."""
    return systems.stage_models(config, wildcards.student)[-2]


def get_last_adapter(wildcards):
    """The adapter of a student's last stage."""
    adapter = systems.last_adapter(config, wildcards.student)
    if adapter is None:
        raise WorkflowError(
            f"config: students.{wildcards.student}.stages: the last one trains no adapter, so "
            "there is no effect to measure"
        )
    return adapter


def get_untrimmed_model(wildcards):
    """The model of a student before its vocabulary is trimmed."""
    return systems.untrimmed_model(config, wildcards.student)


def get_training_data(wildcards):
    """The manifests whose targets a student must be able to say."""
    return systems.training_data(config, wildcards.student)


def get_vocabulary_texts(wildcards):
    """The files of plain text that a student's vocabulary is chosen by, beside its training data."""
    vocabulary = config["students"][wildcards.student]["vocabulary"]
    if vocabulary is None:
        raise WorkflowError(
            f"config: students.{wildcards.student}.vocabulary: not given, so nothing is trimmed"
        )
    return [path.replace("{pair}", wildcards.pair) for path in vocabulary["texts"]]


def get_choice(wildcards):
    """What a budget chose for a student; nothing for a system without a budget."""
    name = wildcards.get("student") or wildcards.system
    return [systems.budget_file(name)] if name in systems.budgets(config) else []


def get_search_comet(wildcards):
    """The checkpoint of the metric that the criterion comet goes by."""
    metric = config["pruning"]["comet"]
    if metric is None:
        raise WorkflowError("config: pruning.comet: name a metric of evaluation.comet to go by")
    return f"results/{wildcards.experiment}/comet/{metric}.json"


def get_all_cores(wildcards):
    """Every core of this machine, so that nothing runs beside the job; on a cluster one, because
    others use the node anyway. A job must have as many as the process that submitted it expects.
    """
    if workflow.remote_exec:
        return 1
    try:
        return workflow.cores
    except WorkflowError:
        return 1
