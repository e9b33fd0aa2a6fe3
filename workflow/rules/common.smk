import os
import re
from glob import escape, glob

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod
from snakemake.utils import validate


import config_checks
from slimspeech import systems


def sort_keys(value):
    """The same with keys in order at every depth: params count as changed if their order does."""
    if isinstance(value, dict):
        return {key: sort_keys(value[key]) for key in sorted(value, key=str)}
    return [sort_keys(item) for item in value] if isinstance(value, list) else value


if problem := config_checks.secret_problem(config):
    raise WorkflowError(f"config: {problem}")

try:
    validate(config, schema="../schemas/config.schema.yaml")
except WorkflowError as error:
    problem = config_checks.schema_problem(error.__context__)
    raise WorkflowError(f"config: {problem}") from None

if problems := config_checks.problems(config):
    raise WorkflowError(*(f"config: {problem}" for problem in problems))

config = sort_keys(config)
EXPERIMENT = f"results/{config['experiment']}"

# The training stages of each student in order, by the name of their folder: "1-full", "2-qlora", …
STAGES = {
    name: {
        f"{number}-{stage['method']}": stage
        for number, stage in enumerate(student["stages"], start=1)
    }
    for name, student in config["students"].items()
}

# Criteria of the search: those that translate, that measure all layers at once, and not at all.
GENERATED = ("chrf", "shortlist", "comet")
ONE_PASS = ("block_influence", "angular")
MEASURED = (*GENERATED, "loss", *ONE_PASS)
# Sets of layers that the config lists stand beside them.
SETS = config["pruning"]["sets"]
UNMEASURED = ("middle", "last", *SETS)
ALL_CRITERIA = (*MEASURED, *UNMEASURED)
PROTECTED = [config["pruning"][key] for key in ("protect_first", "protect_last")]

# The criterion of each student, and every one that the experiment uses, the default first.
CRITERIA = {
    name: student["criterion"] or config["pruning"]["criterion"]
    for name, student in config["students"].items()
}
SEARCHES = list(
    dict.fromkeys(
        [
            config["pruning"]["criterion"],
            *(CRITERIA[name] for name, s in config["students"].items() if s["layers_removed"]),
            *(
                name.split("-")[1]
                for name in config["evaluation"]["systems"]
                if name.startswith("pruned-") and name.count("-") == 2
            ),
        ]
    )
)


def get_length(criterion, pair):
    """The most removals that a criterion can name: as many as a set lists, else as one asks for."""
    return len(SETS[criterion].get(pair, [])) if criterion in SETS else 99


# Every removal of every search that the experiment uses, in order.
REMOVALS = [
    {"pair": pair, "criterion": criterion, "iteration": k}
    for pair in config["pairs"]
    for criterion in SEARCHES
    for k in range(1, min(config["pruning"]["iterations"], get_length(criterion, pair)) + 1)
]


# The Python of COMET's rules, and the file that stands for its environment; with conda, none.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
COMET_PYTHON = "python" if CONDA else ".venv-comet/bin/python"
COMET_ENVIRONMENT = [] if CONDA else [".venv-comet/installed"]


scattergather:
    layers=config["pruning"]["shards"],


# Whatever is told apart by name in the results of an evaluation.
SYSTEMS = "|".join(
    [
        "base",
        "teacher",
        rf"pruned-(?:(?:{'|'.join(ALL_CRITERIA)})-)?(?!00)\d\d",
        *config["students"],
    ]
)


wildcard_constraints:
    experiment=config["experiment"],
    base_model=re.escape(os.path.basename(os.path.normpath(config["base"]["model"]))),
    pair="|".join(config["pairs"]),
    k=r"(?!00)\d\d",  # iteration 00 has its own rule
    criterion="|".join(ALL_CRITERIA),
    student="|".join(config["students"]) or "none",
    stage=r"\d+-(full|qlora|prune)",
    system=SYSTEMS,
    entry="|".join([SYSTEMS, *config["evaluation"]["texts"]]),
    metric="|".join(map(re.escape, config["evaluation"]["comet"])) or "none",


def get_teacher(wildcards):
    """The teacher's directory: fine-tuned here, or given in config."""
    given = config["teacher"]["model"]
    if given:
        return given.replace("{pair}", wildcards.pair)
    return f"results/{wildcards.experiment}/{wildcards.pair}/teacher"


def get_layers(wildcards, criterion, removed):
    """The list of layers kept after so many removals; before the first, whatever the criterion."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning"
    if removed == 0:
        return f"{folder}/iter_00/layers.json"
    return f"{folder}/{criterion}/iter_{removed:02d}/layers.json"


def get_previous_layers(wildcards):
    """The layers kept after iteration k-1, which iteration k prunes further."""
    return get_layers(wildcards, wildcards.criterion, int(wildcards.k) - 1)


def get_search(wildcards):
    """How a criterion measures: no more than changes its scores, so that no other key reruns it."""
    pruning = config["pruning"]
    search = {key: pruning[key] for key in ("protect_first", "protect_last")}
    if wildcards.criterion in GENERATED:
        return search | {"criterion": "chrf", "metric": pruning["metric"]}
    if wildcards.criterion == "angular":
        search["block"] = pruning["iterations"]
    return search | {"criterion": wildcards.criterion}


def get_embeddings(wildcards):
    """What the search hears; the other criteria read the audio themselves, in one pass."""
    if wildcards.criterion not in GENERATED:
        return []
    return [f"results/{wildcards.experiment}/{wildcards.pair}/pruning/embeddings.safetensors"]


def get_proposal_search(wildcards):
    """How the layers of a shortlist are found."""
    pruning = config["pruning"]
    search = {key: pruning[key] for key in ("protect_first", "protect_last")}
    return search | {"criterion": pruning["shortlist"]["by"]}


def get_proposal(wildcards):
    """What a shortlist is made from; other criteria measure every removable layer."""
    if wildcards.criterion != "shortlist":
        return []
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning/shortlist"
    return [f"{folder}/iter_{wildcards.k}/proposal.csv"]


def get_listed_layers(wildcards):
    """The layers of a set, in the order of removal; nothing where the place decides."""
    return SETS[wildcards.criterion].get(wildcards.pair, []) if wildcards.criterion in SETS else []


def get_stage_search(wildcards):
    """How a stage that prunes measures what each removal costs."""
    search = {key: config["pruning"][key] for key in ("protect_first", "protect_last", "metric")}
    return search | {"criterion": get_stage(wildcards)["criterion"]}


def get_shortlist(wildcards):
    """How many of the proposed layers are measured."""
    return config["pruning"]["shortlist"]["size"] if wildcards.criterion == "shortlist" else 0


def get_search_comet(wildcards):
    """The COMET metric that the criterion comet goes by."""
    metric = config["pruning"]["comet"]
    if metric is None:
        raise WorkflowError("config: pruning.comet: name the metric of evaluation.comet to go by")
    return f"results/{wildcards.experiment}/comet/{metric}.json"


def get_search_comet_batch_size(wildcards):
    """As that metric scores systems."""
    return config["evaluation"]["comet"][config["pruning"]["comet"]]["batch_size"]


def get_clips_option(wildcards):
    """How a command is told the clips of the search; nothing for all."""
    clips = config["pruning"]["clips"]
    return "" if clips is None else f"--clips {clips}"


def get_layer_scores_by_comet(wildcards):
    """What decides in place of scores.csv, by the criterion comet."""
    if wildcards.criterion != "comet":
        return []
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning/comet"
    return [f"{folder}/iter_{wildcards.k}/comet.csv"]


def get_shards(wildcards):
    """The parts of an iteration. What measures all layers in one pass gains nothing from parts."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning/{wildcards.criterion}"
    pattern = f"{folder}/iter_{wildcards.k}/shards/{{scatteritem}}.json"
    if wildcards.criterion in ONE_PASS:
        return [pattern.format(scatteritem="1-of-1")]
    return gather.layers(pattern)


def get_all_layers(wildcards):
    """The layers kept after each removal."""
    pattern = "results/{experiment}/{pair}/pruning/{criterion}/iter_{iteration:02d}/layers.json"
    return [pattern.format(experiment=wildcards.experiment, **removal) for removal in REMOVALS]


def get_pruned_model(wildcards, criterion, removed):
    """The teacher with so many layers removed."""
    if removed == 0:
        return get_teacher(wildcards)
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/pruning/{criterion}"
    return f"{folder}/iter_{removed:02d}/model"


def get_student_folder(wildcards):
    return f"results/{wildcards.experiment}/{wildcards.pair}/students/{wildcards.student}"


def get_stage(wildcards):
    """A stage of a student's recipe by the name of its folder."""
    stages = STAGES[wildcards.student]
    if wildcards.stage not in stages:
        raise WorkflowError(
            f"config: students.{wildcards.student} has no stage {wildcards.stage}, only "
            f"{', '.join(stages) or 'none'}; ask for one of these"
        )
    return stages[wildcards.stage]


def get_start_model(wildcards):
    """The model that a student's first stage trains: the teacher, pruned as often as it says."""
    removed = config["students"][wildcards.student]["layers_removed"]
    return get_pruned_model(wildcards, CRITERIA[wildcards.student], removed)


def get_stage_model(wildcards):
    """The model that a training stage starts from: the stage before it, or the pruned teacher."""
    get_stage(wildcards)
    names = list(STAGES[wildcards.student])
    number = names.index(wildcards.stage)
    if number == 0:
        return get_start_model(wildcards)
    return f"{get_student_folder(wildcards)}/{names[number - 1]}/model"


def get_trained_model(wildcards):
    """The model at the end of a student's recipe, before it is packed."""
    names = list(STAGES[wildcards.student])
    if not names:
        return get_start_model(wildcards)
    return f"{get_student_folder(wildcards)}/{names[-1]}/model"


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
    mix = get_stage(wildcards)["data"]
    return {part: path for part, path in manifests.items() if mix.get(part)}


def get_system_model(wildcards):
    """The directory a system is scored from: for a student, the one a user would download."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}"
    if wildcards.system == "base":
        return config["base"]["model"]
    if wildcards.system == "teacher":
        return get_teacher(wildcards)
    if wildcards.system.startswith("pruned-"):
        *criterion, removed = wildcards.system.removeprefix("pruned-").split("-")
        [criterion] = criterion or [config["pruning"]["criterion"]]
        return get_pruned_model(wildcards, criterion, int(removed))
    return f"{folder}/students/{wildcards.system}/packed"


def get_comet_file(wildcards):
    """The checkpoint of a COMET metric if it is on disk; nothing if it is fetched from the Hub."""
    model = config["evaluation"]["comet"][wildcards.metric]["model"]
    if model.endswith(".ckpt"):
        return [model]
    return sorted(glob(os.path.join(escape(model), "checkpoints", "*.ckpt")))


def get_evaluation_files(wildcards):
    """Scores, sizes and times of every system, and their comparison, pair by pair in config order."""
    folder = f"results/{wildcards.experiment}/{{pair}}/evaluation"
    names = {"scores": ["scores"], "sizes": ["size"], "translations": ["translation"]}
    names["comet"] = [f"comet/{metric}" for metric in config["evaluation"]["comet"]]
    found = {
        key: expand(
            f"{folder}/{{system}}/{{name}}.json",
            pair=config["pairs"],
            system=config["evaluation"]["systems"],
            name=files,
        )
        for key, files in names.items()
    }
    return found | {"comparisons": expand(f"{folder}/comparison.json", pair=config["pairs"])}


def get_hypotheses(wildcards):
    """The translations of every system of a pair, in config order."""
    return expand(
        f"results/{wildcards.experiment}/{wildcards.pair}/evaluation/{{system}}/hypotheses.jsonl",
        system=config["evaluation"]["systems"],
    )


def get_comet_scores(wildcards):
    """COMET's scores of every system of a pair: by segment, and what they come to."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/evaluation"
    ends = {"comet": "jsonl", "comet_summaries": "json"}
    return {
        key: expand(
            f"{folder}/{{system}}/comet/{{metric}}.{end}",
            system=config["evaluation"]["systems"],
            metric=config["evaluation"]["comet"],
        )
        for key, end in ends.items()
    }


def get_all_cores(wildcards):
    """Every core of this machine, so that nothing runs beside the job; on a cluster one, since others
    use the node anyway. A job has to find what its submission found."""
    if workflow.remote_exec:
        return 1
    try:
        return workflow.cores
    except WorkflowError:
        return 1


def get_recipe(wildcards):
    """How a student was made; nothing for another system."""
    return config["students"].get(wildcards.system)


def get_talks(wildcards):
    """The folder with the running text of each talk: of a system, or given in config."""
    given = config["evaluation"]["texts"]
    if wildcards.entry in given:
        return given[wildcards.entry].replace("{pair}", wildcards.pair)
    folder = f"results/{wildcards.experiment}/{wildcards.pair}/submission"
    return f"{folder}/{wildcards.entry}/talks"


def get_evaluation_targets():
    """What is told of each system besides the table: checks, cost, its text in IWSLT's form."""
    names = ["evaluation/{system}/checks.json", "submission/{system}/scores.json"]
    if config["evaluation"]["cost"]["repeats"]:
        names.append("evaluation/{system}/cost.json")
    systems, texts = config["evaluation"]["systems"], config["evaluation"]["texts"]
    folder = f"{EXPERIMENT}/{{pair}}"
    return [
        *expand([f"{folder}/{name}" for name in names], pair=config["pairs"], system=systems),
        *expand(f"{folder}/submission/{{entry}}/scores.json", pair=config["pairs"], entry=texts),
        *expand(
            f"{folder}/submission/{{entry}}/comet/{{metric}}.json",
            pair=config["pairs"],
            entry=texts,
            metric=config["evaluation"]["comet"],
        ),
    ]


def get_shown_systems(wildcards):
    """The systems that a student's model card shows: with its scores, what it was made from."""
    systems = config["evaluation"]["systems"]
    if wildcards.student not in systems:
        return [wildcards.student]
    return [name for name in ("base", "teacher") if name in systems] + [wildcards.student]


def get_pruning_stages(wildcards):
    """The stages of a student that prune, by the name of their folder."""
    stages = STAGES[wildcards.student].items()
    return {name: stage for name, stage in stages if stage["method"] == "prune"}


def get_pruned_parts(wildcards):
    """The part that each of them prunes, in order."""
    return [stage["part"] for stage in get_pruning_stages(wildcards).values()]


def get_release_files(wildcards):
    """What a release tells: the layers that are left, and whatever was measured."""
    folder = f"results/{wildcards.experiment}/{wildcards.pair}"
    removed = config["students"][wildcards.student]["layers_removed"]
    stages = [f"{get_student_folder(wildcards)}/{name}" for name in get_pruning_stages(wildcards)]
    systems = get_shown_systems(wildcards)
    scored = wildcards.student in config["evaluation"]["systems"]
    timed = systems if scored and config["evaluation"]["cost"]["repeats"] else []
    return {
        "layers": [
            get_layers(wildcards, CRITERIA[wildcards.student], removed),
            *(f"{stage}/layers.json" for stage in stages),
        ],
        "sizes": [f"{folder}/evaluation/{system}/size.json" for system in systems],
        "costs": [f"{folder}/evaluation/{system}/cost.json" for system in timed],
        "comparison": [f"{folder}/evaluation/comparison.json"] if scored else [],
    }


def get_released_config(wildcards):
    """What a release says of the config, and no more, so that no other key writes it anew."""
    keys = ("experiment", "prompt", "languages", "base", "teacher", "release")
    student = config["students"][wildcards.student]
    release = config["release"]
    hub = config["data"].get("hub", {})
    if (
        os.path.normpath(config["data"]["archive"]) == config_checks.HUB_COPY
        and not release["datasets"]
    ):
        release = release | {"datasets": [hub["repository"]]}
    return {key: config[key] for key in keys} | {
        "release": release,
        "recipe": student | {"criterion": CRITERIA[wildcards.student]},
        "generation": {"max_new_tokens": config["generation"]["max_new_tokens"]},
        "data_split": config["data"]["split"]["method"],
        "search_split": config["pruning"]["split"],
    }


def get_checkpoints():
    """The pruned models that the main target writes; any other is made when asked for by name."""
    last = config["pruning"]["iterations"]
    kept = {"all": range(1, last + 1), "last": range(last, last + 1) if last else [], "none": []}
    return expand(
        f"{EXPERIMENT}/{{pair}}/pruning/{{criterion}}/iter_{{k:02d}}/model",
        pair=config["pairs"],
        criterion=SEARCHES,
        k=kept[config["pruning"]["keep_checkpoints"]],
    )


def get_main_targets():
    """What `all` asks for."""
    students = expand(
        [f"{EXPERIMENT}/{{pair}}/students/{{student}}/{name}" for name in ("packed", "release")],
        pair=config["pairs"],
        student=config["students"],
    )
    names = ["scores.csv", "scores.md", "config.json", "data/corpus.json"]
    if config["pruning"]["iterations"]:
        names += ["layers.csv", "layers.md"]
    tables = [f"{EXPERIMENT}/{name}" for name in names]
    if config["pruning"]["iterations"] and set(SEARCHES) & set(GENERATED):
        tables += expand(f"{EXPERIMENT}/{{pair}}/pruning/iter_00/score.json", pair=config["pairs"])
    return tables + students + get_checkpoints() + get_evaluation_targets()


def get_hashes():
    """The hashes of the files of every packed student."""
    return expand(
        f"{EXPERIMENT}/{{pair}}/students/{{student}}/sha256.txt",
        pair=config["pairs"],
        student=config["students"],
    )


def get_report_files(wildcards):
    """What the report is written from: all that the main target makes."""
    return get_main_targets() + get_hashes()


def get_report():
    """The report, its charts and its table."""
    return [f"{EXPERIMENT}/{name}" for name in ("report.html", "plots", "scores.tex")]


def get_report_command():
    """How the report of a run that failed is written."""
    files = [os.path.relpath(path) for path in workflow.configfiles]
    if len(files) == 1:
        return f"make report CONFIG={files[0]}"
    return f"snakemake --cores 1 report_so_far --configfile {' '.join(files)}"
