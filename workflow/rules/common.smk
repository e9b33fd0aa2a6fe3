from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

validate(config, schema="../schemas/config.schema.yaml")

EXPERIMENT = f"results/{config['experiment']}"

# The training stages of each student, by their number in its recipe, counted from 1.
STAGES = {
    name: {str(number): stage for number, stage in enumerate(student["stages"], start=1)}
    for name, student in config["students"].items()
}

# How the search measures; what else is under `pruning` does not change a score.
SEARCH = {key: config["pruning"][key] for key in ("metric", "protect_first", "protect_last")}


def get_stage_names(student):
    """The folders of a student's training stages, in order: "1-full", "2-qlora", …"""
    return [f"{number}-{stage['method']}" for number, stage in STAGES[student].items()]


def get_pruned_systems():
    """Systems "pruned-03": the teacher after so many removals, before any repair."""
    return [f"pruned-{k:02d}" for k in range(1, config["pruning"]["iterations"] + 1)]


def check_config():
    """What the schema cannot say: references from one part of the config to another."""
    known = ["base", "teacher", *get_pruned_systems(), *config["students"]]
    unknown = [name for name in config["evaluation"]["systems"] if name not in known]
    if unknown:
        raise WorkflowError(
            f"config: evaluation.systems names {', '.join(unknown)}; there are {', '.join(known)}"
        )
    iterations = config["pruning"]["iterations"]
    for name, student in config["students"].items():
        if student["layers_removed"] > iterations:
            raise WorkflowError(
                f"config: student {name} has {student['layers_removed']} layers removed, but "
                f"pruning.iterations is {iterations}; raise it"
            )
        uses = {part for stage in student["stages"] for part in stage["data"]}
        if "out_of_domain" in uses and "out_of_domain" not in config["data"]:
            raise WorkflowError(
                f"config: student {name} trains on out_of_domain data; add data.out_of_domain"
            )


check_config()


wildcard_constraints:
    experiment=config["experiment"],
    pair="|".join(config["pairs"]),
    k=r"\d*[1-9]\d*",  # iteration 00 has its own rule
    student="|".join(config["students"]) or "none",
    stage=r"\d+",
    system="|".join(["base", "teacher", r"pruned-\d\d", *config["students"]]),


def get_teacher(wildcards):
    """The teacher's directory: fine-tuned here, or given in config."""
    given = config["teacher"]["model"]
    return given or f"results/{wildcards.experiment}/{wildcards.pair}/teacher"


def get_previous_layers(wildcards):
    """The layers kept after iteration k-1, which iteration k prunes further."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning"
    return f"{folder}/iter_{int(wildcards.k) - 1:02d}/layers.json"


def get_pruned_model(wildcards, removed):
    """The teacher with so many layers removed."""
    if removed == 0:
        return get_teacher(wildcards)
    return f"results/{wildcards.experiment}/{wildcards.pair}/pruning/iter_{removed:02d}/model"


def get_student_folder(wildcards):
    return f"results/{wildcards.experiment}/{wildcards.pair}/students/{wildcards.student}"


def get_stage_model(wildcards):
    """The model that a training stage starts from: the stage before it, or the pruned teacher."""
    number = int(wildcards.stage)
    if number > 1:
        name = get_stage_names(wildcards.student)[number - 2]
        return f"{get_student_folder(wildcards)}/{name}/model"
    removed = config["students"][wildcards.student]["layers_removed"]
    return get_pruned_model(wildcards, removed)


def get_trained_model(wildcards):
    """The model at the end of a student's recipe, before it is packed."""
    names = get_stage_names(wildcards.student)
    if names:
        return f"{get_student_folder(wildcards)}/{names[-1]}/model"
    removed = config["students"][wildcards.student]["layers_removed"]
    return get_pruned_model(wildcards, removed)


def get_search_segments(wildcards):
    """The part of the data that the search for layers translates."""
    split = config["pruning"]["split"]
    return f"results/{wildcards.experiment}/{wildcards.pair}/data/{split}.jsonl"


def get_stage_data(wildcards):
    """The manifests that a stage's data mix names, by their part of the data."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}"
    manifests = {
        "gold": f"{folder}/data/train.jsonl",
        "distilled": f"{folder}/distillation/distilled.jsonl",
        "out_of_domain": f"{folder}/data/out_of_domain.jsonl",
    }
    mix = STAGES[wildcards.student][wildcards.stage]["data"]
    return {part: path for part, path in manifests.items() if mix.get(part)}


def get_system_model(wildcards):
    """The directory a system is scored from: for a student, the one a user would download."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}"
    if wildcards.system == "base":
        return config["base"]["model"]
    if wildcards.system == "teacher":
        return get_teacher(wildcards)
    if wildcards.system.startswith("pruned-"):
        removed = int(wildcards.system.removeprefix("pruned-"))
        return get_pruned_model(wildcards, removed)
    return f"{folder}/students/{wildcards.system}/packed"


def get_evaluation_files(wildcards):
    """Scores, sizes and times of every system, pair by pair in config order."""
    names = {"scores": "scores", "sizes": "size", "translations": "translation"}
    return {
        key: expand(
            f"results/{wildcards.experiment}/{{pair}}/evaluation/{{system}}/{name}.json",
            pair=config["pairs"],
            system=config["evaluation"]["systems"],
        )
        for key, name in names.items()
    }


def get_checkpoints():
    """The pruned models that the main target writes; any other is made when asked for by name."""
    last = config["pruning"]["iterations"]
    kept = {"all": range(1, last + 1), "last": range(last, last + 1) if last else [], "none": []}
    return expand(
        f"{EXPERIMENT}/{{pair}}/pruning/iter_{{k:02d}}/model",
        pair=config["pairs"],
        k=kept[config["pruning"]["keep_checkpoints"]],
    )


def get_main_targets():
    """What `all` asks for."""
    students = expand(
        f"{EXPERIMENT}/{{pair}}/students/{{student}}/packed",
        pair=config["pairs"],
        student=config["students"],
    )
    table = [f"{EXPERIMENT}/scores.csv", f"{EXPERIMENT}/scores.md", f"{EXPERIMENT}/config.json"]
    return table + students + get_checkpoints()
