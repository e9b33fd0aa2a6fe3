import json

from snakemake.exceptions import WorkflowError

# Folders of results/ that are of no experiment.
SHARED = ("corpora", "models", "mini_base")


def get_systems():
    """Everything that can be scored. "pruned-03" is the teacher after so many removals by the
    default criterion, "pruned-loss-03" by another.
    """
    last = config["pruning"]["iterations"]
    pruned = [
        f"{name}-{k:02d}"
        for name in ["pruned", *(f"pruned-{criterion}" for criterion in ALL_CRITERIA)]
        for k in range(1, last + 1)
    ]
    return ["base", "teacher", *pruned, *config["students"]]


def is_made_here(path):
    """Whether a path is the output of a rule, and so need not exist before the run."""
    folders = os.path.normpath(path).split(os.sep)
    made = folders[0] == "results" and folders[1:2] != []
    return made and folders[1] in (config["experiment"], *SHARED)


def read_layer_count(model):
    """Decoder layers by the model's config.json; None where it is not there yet or does not say.

    What is wrong with a config, the first job that opens the model tells.
    """
    path = os.path.join(model, "config.json")
    if not os.path.isfile(path):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            count = json.loads(file.read(2**22))["text_config"]["num_hidden_layers"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return count if type(count) is int else None


def get_name_problems():
    """Names that would collide, or that the config uses and nothing has."""
    if config["experiment"] in SHARED:
        yield f"experiment: results/{config['experiment']} is taken; choose another name"
    for pair in config["pairs"]:
        source, target = pair.split("-")
        if source == target:
            yield f"pairs: {pair} translates a language into itself; name two languages"
    if len(sources := {pair.split("-")[0] for pair in config["pairs"]}) > 1:
        yield (
            f"pairs: the sources are {', '.join(sorted(sources))}, but the clips of an archive are "
            "in one language; make an experiment for each"
        )
    systems = get_systems()
    if unknown := [name for name in config["evaluation"]["systems"] if name not in systems]:
        yield (
            f"evaluation.systems: there is no {', '.join(unknown)}; choose among base, teacher, "
            f"pruned-01 (the teacher after one removal) to the last of pruning.iterations, "
            f"pruned-loss-01 (by another criterion) and {', '.join(config['students'])}"
        )
    if taken := [name for name in config["evaluation"]["texts"] if name in systems]:
        yield f"evaluation.texts: {', '.join(taken)} is a student's name; choose another"


def get_search_problems():
    """Criteria that are none, and sets that are too short."""
    for name in SETS:
        if name in (*MEASURED, "middle", "last"):
            yield f"pruning.sets.{name}: that is the name of a criterion; choose another"
    metrics, named = config["evaluation"]["comet"], config["pruning"]["comet"]
    if named not in metrics and (named or "comet" in SEARCHES):
        known = ", ".join(metrics) or "none yet"
        yield (
            f"pruning.comet: the criterion comet needs a metric of evaluation.comet ({known}) and "
            f"{named} is none; name one"
        )
    used = {"pruning.criterion": (config["pruning"]["criterion"], 0)}
    for name, student in config["students"].items():
        used[f"students.{name}.criterion"] = (CRITERIA[name], student["layers_removed"])
    for key, (criterion, removed) in used.items():
        if criterion not in ALL_CRITERIA:
            yield (
                f"{key}: there is no {criterion!r}; choose among {', '.join(ALL_CRITERIA)}, or "
                "list layers under pruning.sets"
            )
            continue
        for pair in config["pairs"]:
            if removed > get_length(criterion, pair):
                yield (
                    f"{key}: the set {criterion} lists {get_length(criterion, pair)} layers for "
                    f"{pair} and {removed} are to go; list more or lower layers_removed"
                )


def get_path_problems():
    """What the config wants to read and is not on disk."""
    models = {
        (key, (config[key]["model"] or "").replace("{pair}", pair)): None
        for key in ("base", "teacher")
        for pair in config["pairs"]
    }
    for key, path in models:
        if path and not is_made_here(path) and not os.path.isdir(path):
            yield (
                f"{key}.model: there is no directory {path!r}; give one that holds config.json, "
                "*.safetensors and the processor's files"
            )
    data = config["data"]
    corpora = {
        "data.archive": data["archive"],
        "data.out_of_domain.folder": data.get("out_of_domain", {}).get("folder"),
    }
    for key, path in corpora.items():
        if path and not is_made_here(path) and not os.path.exists(path):
            yield f"{key}: there is no {path!r}; give the path of the corpus you downloaded"
    for name, folder in config["evaluation"]["texts"].items():
        for path in [folder.replace("{pair}", pair) for pair in config["pairs"]]:
            if not os.path.isdir(path):
                yield f"evaluation.texts.{name}: there is no folder {path!r}; give one with talks"
    folder = os.path.dirname(os.path.normpath(config["base"]["model"]))
    if folder == HUB_MODELS and "hub" not in config["base"]:
        yield f"base.hub: {folder} is for models of the Hub; name the revision in base.hub"
    if os.path.normpath(data["archive"]) == HUB_COPY and "hub" not in data:
        yield f"data.hub: {HUB_COPY} is fetched from the Hub; name the revision in data.hub"


def get_split_problems():
    """Parts of the data that would be empty but are needed."""
    split = config["data"]["split"]
    talks = split["method"] == "talks"
    if talks and not split["test_talks"]:
        yield "data.split.test_talks: method talks needs a talk to test on; name one"
    given = split["method"] == "given"
    validation = given or split["validation_size"] or (talks and split["validation_talks"])
    pruning = config["pruning"]
    if pruning["iterations"] and pruning["split"] == "validation" and not validation:
        yield (
            "pruning.split: the search translates validation data and data.split sets none aside; "
            "give data.split.validation_size, or set pruning.split to test"
        )


def get_pruning_problems():
    """More removals than the teacher has layers for, or a student with more than are searched."""
    pruning = config["pruning"]
    model = config["teacher"]["model"] or config["base"]["model"]
    model = model.replace("{pair}", config["pairs"][0])
    if layers := read_layer_count(model):
        most = max(0, layers - pruning["protect_first"] - pruning["protect_last"])
        if pruning["iterations"] > most:
            yield (
                f"pruning.iterations: {pruning['iterations']} of the {layers} layers of {model} "
                f"cannot go, {pruning['protect_first']} + {pruning['protect_last']} are protected; "
                f"lower it to {most} or less"
            )
    for name, student in config["students"].items():
        if student["layers_removed"] > pruning["iterations"]:
            yield (
                f"students.{name}.layers_removed: {student['layers_removed']} is more than "
                f"pruning.iterations, {pruning['iterations']}; raise that or lower this"
            )


def get_recipe_problems():
    """Stages of students without data, or with a precision that is not theirs."""
    for student, stages in STAGES.items():
        for number, stage in enumerate(stages.values()):
            place = f"students.{student}.stages.{number}.data"
            if stage["method"] == "prune":
                continue
            parts = [part for part, factor in stage["data"].items() if factor]
            if not parts:
                yield f"{place}: all factors are 0; raise one"
            if "out_of_domain" in parts and "out_of_domain" not in config["data"]:
                yield f"{place}: out_of_domain is not configured; add data.out_of_domain"
            precision = stage["training"]["precision"]
            if stage["method"] == "qlora" and precision == "bf16_stochastic":
                yield (
                    f"students.{student}.stages.{number}.training.precision: bf16_stochastic is of "
                    "full stages; give a qlora stage bf16"
                )


def get_comet_problems():
    """COMET checkpoints that are neither on disk nor named as the Hub names them."""
    for name, metric in config["evaluation"]["comet"].items():
        model = metric["model"]
        on_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", model) and not model.endswith(".ckpt")
        if not on_hub and not os.path.exists(model):
            yield (
                f"evaluation.comet.{name}.model: there is no {model!r}; give the path of a .ckpt "
                "file, of the folder that holds its checkpoints/, or an id on the Hugging Face Hub "
                "such as Unbabel/wmt22-comet-da"
            )


def get_release_problems():
    """A licence of one's own that is not named and linked, as the Hub wants it."""
    release = config["release"]
    told = release["license_name"] and release["license_link"]
    if release["license"] == "other" and not told:
        yield (
            "release.license: other stands for a licence that the Hub has no name for; give "
            "release.license_name and release.license_link too"
        )
    if release["license"] != "other" and (release["license_name"] or release["license_link"]):
        yield (
            "release.license_name, release.license_link: they belong to release.license: other; "
            "leave them out, or change release.license to that"
        )


def check_config():
    """What the schema cannot say. Every problem is told, one a line."""
    problems = [
        *get_name_problems(),
        *get_search_problems(),
        *get_path_problems(),
        *get_split_problems(),
        *get_pruning_problems(),
        *get_recipe_problems(),
        *get_comet_problems(),
        *get_release_problems(),
    ]
    if problems:
        raise WorkflowError(*(f"config: {problem}" for problem in problems))


check_config()
