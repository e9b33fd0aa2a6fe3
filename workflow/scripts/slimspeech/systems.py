"""What is named what under results/: systems, criteria and stages.

The rules, the checks of the config, the report and the command line all ask this module. It imports
the standard library alone, because planning imports it.

`config` is the config of an experiment with its defaults filled in, as in
results/{experiment}/config.json. Paths are patterns of {experiment} and {pair}, as in the rules.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

BASE, TEACHER = "base", "teacher"

# Criteria of the search for layers: those that translate, those that measure all layers in one
# pass, and those that measure nothing. Each set of layers in pruning.sets is one more of the last.
TRANSLATING = ("chrf", "shortlist", "comet")
ONE_PASS = ("block_influence", "angular")
MEASURED = (*TRANSLATING, "loss", "kl", *ONE_PASS)
BY_PLACE = ("middle", "last")

PAIR = "results/{experiment}/{pair}"

# What a training stage may mix, and where it is.
DATA_PARTS = {
    "gold": f"{PAIR}/data/train.jsonl",
    "distilled": f"{PAIR}/distillation/distilled.jsonl",
    "out_of_domain": f"{PAIR}/data/out_of_domain.jsonl",
}

# What each part of the teacher's model loses by rounding, and after each removal of layers.
SENSITIVITIES = f"{PAIR}/sensitivities.json"

# In place of the number of removed layers: a student's budget chooses it.
OPEN = "auto"

Config = Mapping[str, Any]


class Pruned(NamedTuple):
    """The teacher after a number of removals by one criterion."""

    criterion: str
    removed: int


# Before any removal, the criterion makes no difference.
UNPRUNED = Pruned(MEASURED[0], 0)


def runs(config: Config) -> dict[str, int]:
    """The seed of each folder below results/: the experiment's own is that of its first seed.

    With `seed: [0, 1]`, {"mini": 0, "mini/seed-1": 1}.
    """
    seeds = config["seed"] if isinstance(config["seed"], list) else [config["seed"]]
    later = {f"{config['experiment']}/seed-{seed}": seed for seed in seeds[1:]}
    return {config["experiment"]: seeds[0]} | later


def run_config(config: Config, run: str) -> Config:
    """The config of one of runs(): of one seed, and with the folder as the experiment's name.

    A folder of a later seed is like that of an experiment, so that all that reads one reads it.
    """
    if run == config["experiment"]:
        return config
    return {**config, "experiment": run, "seed": runs(config)[run]}


def shared_by_seeds(config: Config) -> tuple[str, str]:
    """Patterns of the files and of the folders below results/{experiment} that no seed changes."""
    pair = f"(?:{'|'.join(config['pairs'])})"
    files = [r"data/[^/]+\.jsonl?", rf"{pair}/data/[^/]+", r"comet/[^/]+"]
    folders, unseeded = ["data/audio"], [BASE]
    if config["teacher"]["model"]:
        files += [rf"{pair}/sensitivities.json"]
        files += [rf"{pair}/distillation/[^/]+", rf"{pair}/pruning/(?:[^/]+/)*[^/]+\.[^/]+"]
        folders.append(rf"{pair}/pruning/[^/]+/iter_\d\d/model")
        unseeded += [TEACHER, "pruned-[^/]+"]
    files.append(rf"{pair}/evaluation/(?:{'|'.join(unseeded)})/.+")
    return "|".join(files), "|".join(folders)


def unmeasured_criteria(config: Config) -> tuple[str, ...]:
    """The criteria that go by the place of a layer or by a list."""
    return (*BY_PLACE, *config["pruning"]["sets"])


def all_criteria(config: Config) -> tuple[str, ...]:
    return (*MEASURED, *unmeasured_criteria(config))


def student_criterion(config: Config, student: str) -> str:
    """The criterion by which the student's layers are removed."""
    return config["students"][student]["criterion"] or config["pruning"]["criterion"]


def recipe(config: Config, system: str) -> dict[str, Any] | None:
    """How a student is made, its criterion filled in; None for another system."""
    if system not in config["students"]:
        return None
    return config["students"][system] | {"criterion": student_criterion(config, system)}


def chosen_recipe(recipe: Config, choice: Config) -> dict[str, Any]:
    """A recipe with what its budget chose. choice: the content of budget.json."""
    filled = recipe | {key: choice[key] for key in ("layers_removed", "quantization")}
    if recipe["vocabulary"]:
        filled["vocabulary"] = recipe["vocabulary"] | {"size": choice["vocabulary"]}
    return filled


def pruned_name(criterion: str, removed: int) -> str:
    """The full name of a pruned teacher as a system: "pruned-loss-03"."""
    return f"pruned-{criterion}-{removed:02d}"


def is_pruned(system: str) -> bool:
    """Whether a system is a pruned teacher. Names of students hold no hyphen."""
    return system.startswith("pruned-")


def parse_pruned(config: Config, system: str) -> Pruned | None:
    """What "pruned-loss-03" stands for; "pruned-03" is by the criterion of the config.

    None for a system that is no pruned teacher.
    """
    if name := re.fullmatch(r"pruned-(?:(\w+)-)?(\d\d)", system):
        return Pruned(name[1] or config["pruning"]["criterion"], int(name[2]))
    return None


def system_names(config: Config) -> list[str]:
    """Every system that the experiment can score."""
    removals = range(1, config["pruning"]["iterations"] + 1)
    pruned = [f"pruned-{k:02d}" for k in removals]
    pruned += [pruned_name(name, k) for name in all_criteria(config) for k in removals]
    return [BASE, TEACHER, *pruned, *config["students"]]


def system_pattern(config: Config) -> str:
    """A regular expression of every system's name, whatever the number of removals."""
    pruned = rf"pruned-(?:(?:{'|'.join(all_criteria(config))})-)?(?!00)\d\d"
    return "|".join([BASE, TEACHER, pruned, *config["students"]])


def searches(config: Config) -> list[str]:
    """The criteria whose searches the experiment runs, that of the config first."""
    students = [name for name, student in config["students"].items() if student["layers_removed"]]
    pruned = [parse_pruned(config, name) for name in config["evaluation"]["systems"]]
    return list(
        dict.fromkeys(
            [
                config["pruning"]["criterion"],
                *(student_criterion(config, name) for name in students),
                *(system.criterion for system in pruned if system),
            ]
        )
    )


def search_length(config: Config, criterion: str, pair: str) -> int:
    """How many layers a search removes: pruning.iterations, or fewer where a set lists fewer."""
    iterations, sets = config["pruning"]["iterations"], config["pruning"]["sets"]
    return min(iterations, len(sets[criterion].get(pair, []))) if criterion in sets else iterations


def stages(student: Config) -> dict[str, Any]:
    """The training stages of a student in order, by the name of their folder: "1-full", …"""
    return {
        f"{number}-{stage['method']}": stage
        for number, stage in enumerate(student["stages"], start=1)
    }


def layers_file(pruned: Pruned) -> str:
    """The list of the layers that are kept; before any removal it is the same for all criteria."""
    return f"{PAIR}/pruning/{_iteration(pruned)}/layers.json"


def _iteration(pruned: Pruned) -> str:
    criterion, removed = pruned
    return f"{criterion}/iter_{removed:02d}" if removed else "iter_00"


def teacher_model(config: Config) -> str:
    """Fine-tuned here, or given in the config."""
    return config["teacher"]["model"] or f"{PAIR}/teacher"


def pruned_model(config: Config, pruned: Pruned) -> str:
    if not pruned.removed:
        return teacher_model(config)
    return f"{PAIR}/pruning/{_iteration(pruned)}/model"


def student_start(config: Config, student: str) -> Pruned:
    """The pruned teacher that a student starts from; the whole one if a budget prunes it."""
    removed = config["students"][student]["layers_removed"]
    return Pruned(student_criterion(config, student), 0 if removed == OPEN else removed)


def is_open(config: Config, student: str) -> bool:
    """Whether a student's budget chooses its number of layers."""
    return config["students"][student]["layers_removed"] == OPEN


def start_model(config: Config, student: str) -> str:
    """The model that a student starts from: one of the search's, or its own where it is open."""
    if is_open(config, student):
        return f"{PAIR}/students/{student}/pruned"
    return pruned_model(config, student_start(config, student))


def budgets(config: Config) -> list[str]:
    """The students that have a budget."""
    return [name for name, student in config["students"].items() if student.get("budget")]


def budget_file(student: str) -> str:
    """What a student's budget chose."""
    return f"{PAIR}/students/{student}/budget.json"


def vocabulary_sizes(config: Config, student: str) -> list[int | None]:
    """The numbers of tokens that a student's budget may choose; None for all."""
    vocabulary = config["students"][student].get("vocabulary")
    size = vocabulary["size"] if vocabulary else None
    return size if isinstance(size, list) else [size]


def removals(config: Config, student: str, pair: str) -> list[int]:
    """The numbers of removed layers that a student's budget may choose."""
    criterion, removed = student_start(config, student)
    if not is_open(config, student):
        return [removed]
    return list(range(search_length(config, criterion, pair) + 1))


def open_searches(config: Config) -> list[str]:
    """The criteria of whose search a budget takes a number of removals."""
    students = [name for name in budgets(config) if is_open(config, name)]
    return list(dict.fromkeys(student_criterion(config, name) for name in students))


def stage_owners(config: Config, student: str) -> dict[str, str]:
    """By stage, the student in whose folder it lies.

    Students that begin alike (the same layers, the same vocabulary, the same first stages, merged
    alike) share these stages, which lie with the first of them by name.
    """
    names = stages(config["students"][student])
    return {
        stage: _first_alike(config, student, number, number)
        for number, stage in enumerate(names, start=1)
    }


def adapter_owner(config: Config, student: str, stage: str) -> str:
    """The student in whose folder the adapter of a stage lies, however it is merged there."""
    number = list(stages(config["students"][student])).index(stage) + 1
    return _first_alike(config, student, number, number - 1)


def continued_students(config: Config) -> set[str]:
    """The students whose training is the beginning of another's: controls of its last stages."""

    def recipe(name: str) -> tuple[Any, list[Any]]:
        start = student_start(config, name)
        return start if start.removed else UNPRUNED, config["students"][name]["stages"]

    continued = set()
    for name, student in config["students"].items():
        if student.get("budget") or student.get("vocabulary"):
            continue  # smaller than the one that is trained further
        start, own = recipe(name)
        for other_start, others in map(recipe, config["students"]):
            if start == other_start and len(own) < len(others) and own == others[: len(own)]:
                continued.add(name)
    return continued


def _first_alike(config: Config, student: str, count: int, merged: int) -> str:
    """The first student by name with the same first stages, of which so many are merged alike."""

    def beginning(name: str) -> tuple[Any, ...]:
        start, recipe = student_start(config, name), config["students"][name]
        vocabulary = recipe["vocabulary"] if trimming(config, name) == "training" else None
        # What a budget will choose is not known yet, so nothing of it is shared.
        chosen = vocabulary and len(vocabulary_sizes(config, name)) > 1
        own = name if is_open(config, name) or chosen else None
        qlora = [stage for stage in recipe["stages"][:merged] if stage["method"] == "qlora"]
        merge = merged_into(config, name) if qlora else None
        first = recipe["stages"][:count]
        return start if start.removed else UNPRUNED, vocabulary, own, merge, first

    return min(name for name in config["students"] if beginning(name) == beginning(student))


def merged_into(config: Config, student: str) -> str:
    """The weights that adapters are added to, where they are: "rounded" or "original"."""
    merge = config["students"][student].get("merge", "rounded")
    return "rounded" if merge == "keep" else merge


def trimming(config: Config, student: str) -> str | None:
    """Before what the vocabulary of a student is trimmed: "training", "packing" or nothing."""
    vocabulary = config["students"][student].get("vocabulary")
    return vocabulary["before"] if vocabulary else None


def trimmed_model(student: str) -> str:
    """The model of a student after its vocabulary was trimmed."""
    return f"{PAIR}/students/{student}/trimmed"


def untrimmed_model(config: Config, student: str) -> str:
    """The model of a student before its vocabulary is trimmed."""
    if trimming(config, student) == "training":
        return start_model(config, student)
    return _trained_model(config, student)


def final_model(config: Config, student: str) -> str:
    """The model of a student that is packed and exported, beside kept_adapter()."""
    if trimming(config, student) == "packing":
        return trimmed_model(student)
    return _trained_model(config, student)


def _trained_model(config: Config, student: str) -> str:
    """What the last stage ends with; what it starts from, if its adapter is kept."""
    return stage_models(config, student)[-2 if kept_adapter(config, student) else -1]


def last_adapter(config: Config, student: str) -> str | None:
    """The adapter that a student's last stage trains; None if it trains none."""
    last = next(reversed(stages(config["students"][student])), "")
    return adapter(config, student, last) if last.endswith("-qlora") else None


def kept_adapter(config: Config, student: str) -> str | None:
    """The adapter that stays beside a student's packed weights; None if it is merged."""
    is_kept = config["students"][student].get("merge") == "keep"
    return last_adapter(config, student) if is_kept else None


def adapter(config: Config, student: str, stage: str) -> str:
    """The adapter that a stage trains."""
    return f"{PAIR}/students/{adapter_owner(config, student, stage)}/{stage}/adapter"


def training_data(config: Config, student: str) -> list[str]:
    """The manifests that a student or its teacher was trained on."""
    recipe = config["students"][student]["stages"]
    return [
        path
        for part, path in DATA_PARTS.items()
        if part == "gold" or any(stage.get("data", {}).get(part) for stage in recipe)
    ]


def stage_models(config: Config, student: str) -> list[str]:
    """What the first stage of a student starts from, and what each stage ends with."""
    trimmed = trimming(config, student) == "training"
    return [
        trimmed_model(student) if trimmed else start_model(config, student),
        *(
            f"{PAIR}/students/{owner}/{stage}/model"
            for stage, owner in stage_owners(config, student).items()
        ),
    ]


def system_model(config: Config, system: str) -> str:
    """The directory that a system is scored from: for a student, the one that a user downloads."""
    if system == BASE:
        return config["base"]["model"]
    if system == TEACHER:
        return teacher_model(config)
    if pruned := parse_pruned(config, system):
        return pruned_model(config, pruned)
    return f"{PAIR}/students/{system}/packed"


def system_at(config: Config, path: str) -> str | None:
    """The system whose model lies at a path below the folder of a pair.

    None for what is never scored, such as the model of a stage.
    """
    if path == TEACHER:
        return TEACHER
    if student := re.fullmatch(r"students/(\w+)/(?:packed|release)", path):
        return student[1]
    if iteration := re.fullmatch(r"pruning/(\w+)/iter_(\d\d)/model", path):
        criterion, removed = iteration.groups()
        # A system by the criterion of the config may have either name.
        short = f"pruned-{removed}"
        is_default = criterion == config["pruning"]["criterion"]
        is_short = is_default and short in config["evaluation"]["systems"]
        return short if is_short else pruned_name(criterion, int(removed))
    return None


def layer_files(config: Config, system: str) -> tuple[str, list[tuple[str, str]]]:
    """The files that list a system's layers.

    That of the search, and for each stage of a student that prunes: the part of the model that it
    prunes and its file.
    """
    if system not in config["students"]:
        return layers_file(parse_pruned(config, system) or UNPRUNED), []
    owners = stage_owners(config, system)
    start = student_start(config, system)
    return budget_file(system) if is_open(config, system) else layers_file(start), [
        (stage["part"], f"{PAIR}/students/{owners[name]}/{name}/layers.json")
        for name, stage in stages(config["students"][system]).items()
        if stage["method"] == "prune"
    ]
