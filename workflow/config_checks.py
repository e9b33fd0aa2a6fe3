"""What can be wrong with a config that fits the schema, in sentences that name the key and the fix.

The rules call these functions before they plan anything. No Snakemake is in here.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Any

import student_checks
import training_checks
from slimspeech import systems

Config = Mapping[str, Any]

# Folders under results/ that belong to no experiment.
SHARED = ("corpora", "models", "mini_base")
# Where downloads from the Hugging Face Hub go: the copy of ACL 60/60, and base models.
HUB_COPY = "results/corpora/acl6060-hub"
HUB_MODELS = "results/models"
# What stands for the audio in the prompts of audio models.
AUDIO_PLACEHOLDER = re.compile(r"<\|(?i:audio)\w*\|?>|<audio\|>|<sound>|\[(?:BEGIN_)?AUDIO\]")


def problems(config: Config, root: Path = Path()) -> list[str]:
    """Everything that the schema cannot find, a sentence each.

    config: with its defaults filled in. root: the folder that relative paths start from.
    """
    return [
        *_name_problems(config),
        *_prompt_problems(config),
        *_search_problems(config),
        *_path_problems(config, root),
        *_split_problems(config),
        *_pruning_problems(config, root),
        *student_checks.problems(config),
        *training_checks.problems(config),
        *_comet_problems(config, root),
        *_release_problems(config),
        *_engine_problems(config),
        *_submission_problems(config, root),
    ]


def _name_problems(config: Config) -> Iterator[str]:
    """Names that collide, and names of systems that do not exist."""
    if config["experiment"] in SHARED:
        yield f"experiment: results/{config['experiment']} is taken; choose another name"
    for pair in config["pairs"]:
        source, target = pair.split("-")
        if source == target:
            yield f"pairs: {pair} translates a language into itself; name two languages"
    if len(sources := {pair.split("-")[0] for pair in config["pairs"]}) > 1:
        yield (
            f"pairs: the sources are {', '.join(sorted(sources))}, but the clips of an archive are "
            "in one language; make one experiment per source language"
        )
    names = systems.system_names(config)
    if unknown := [name for name in config["evaluation"]["systems"] if name not in names]:
        yield (
            f"evaluation.systems: there is no {', '.join(unknown)}; choose among base, teacher, "
            f"pruned-01 (the teacher after one removal) to the last of pruning.iterations, "
            f"pruned-loss-01 (by another criterion) and {', '.join(config['students'])}"
        )
    evaluated = config["evaluation"]["systems"]
    others = [name for pair in config["evaluation"]["contrasts"] for name in pair]
    if unknown := [name for name in dict.fromkeys(others) if name not in evaluated]:
        yield f"evaluation.contrasts: {', '.join(unknown)} is not in evaluation.systems; add it"
    if taken := [name for name in config["evaluation"]["texts"] if name in names]:
        yield f"evaluation.texts: {', '.join(taken)} is a student's name; choose another"


def _prompt_problems(config: Config) -> Iterator[str]:
    """Braces that are no placeholder, and the placeholder of the audio, which the model adds."""
    for key in ("system", "user"):
        if placeholder := AUDIO_PLACEHOLDER.search(config["prompt"][key] or ""):
            yield (
                f"prompt.{key}: {placeholder[0]} stands for the audio, which the workflow puts "
                "before the request itself; remove it, and its beginning and end"
            )
    names, wrong = _placeholders(config["prompt"]["user"])
    if wrong:
        yield (
            f"prompt.user: {wrong} is no placeholder, only {{source}} and {{target}} are; write a "
            "brace that the model should read twice, {{ or }}"
        )
    elif "target" not in names:
        yield "prompt.user: {{target}} is text in braces; write {target} for the language"


def _placeholders(request: str) -> tuple[set[str], str | None]:
    """The names in braces, and the first that is no name of a language, as it is written."""
    names = set()
    try:
        for _, name, form, conversion in Formatter().parse(request):
            if name is None:
                continue
            if name not in ("source", "target") or form or conversion:
                ending = (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                return names, f"{{{name}{ending}}}"
            names.add(name)
    except ValueError:
        return names, "a single brace"
    return names, None


def _search_problems(config: Config) -> Iterator[str]:
    """Criteria that do not exist, and sets that are too short."""
    pruning = config["pruning"]
    for name in pruning["sets"]:
        if name in (*systems.MEASURED, *systems.BY_PLACE):
            yield f"pruning.sets.{name}: this is the name of a criterion; choose another"
    metrics, metric = config["evaluation"]["comet"], pruning["comet"]
    if metric not in metrics and (metric or "comet" in systems.searches(config)):
        known = ", ".join(metrics) or "none yet"
        yield (
            f"pruning.comet: the criterion comet needs a metric of evaluation.comet ({known}) and "
            f"{metric} is not one; name one"
        )
    removals = {"pruning.criterion": (pruning["criterion"], 0)}
    for name in config["students"]:
        removals[f"students.{name}.criterion"] = systems.student_start(config, name)
    for key, (criterion, removed) in removals.items():
        if criterion not in systems.all_criteria(config):
            yield (
                f"{key}: there is no {criterion!r}; choose among "
                f"{', '.join(systems.all_criteria(config))}, or list layers under pruning.sets"
            )
        elif criterion in pruning["sets"]:
            for pair in config["pairs"]:
                listed = len(pruning["sets"][criterion].get(pair, []))
                if removed > listed:
                    yield (
                        f"{key}: the set {criterion} lists {listed} layers for {pair} and "
                        f"layers_removed is {removed}; list more layers or lower layers_removed"
                    )


def _path_problems(config: Config, root: Path) -> Iterator[str]:
    """Files and folders that the config names and that do not exist."""
    models = {
        (key, (config[key]["model"] or "").replace("{pair}", pair)): None
        for key in ("base", "teacher")
        for pair in config["pairs"]
    }
    for key, path in models:
        if path and not _is_made_here(config, path) and not os.path.isdir(root / path):
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
        if path and not _is_made_here(config, path) and not os.path.exists(root / path):
            yield f"{key}: there is no {path!r}; give the path of the corpus you downloaded"
    for name, student in config["students"].items():
        texts = (student["vocabulary"] or {}).get("texts", [])
        for path in {path.replace("{pair}", pair): 0 for pair in config["pairs"] for path in texts}:
            if not _is_made_here(config, path) and not (root / path).is_file():
                yield (
                    f"students.{name}.vocabulary.texts: there is no file {path!r}; give plain "
                    "text in the target language"
                )
    for name, folder in config["evaluation"]["texts"].items():
        for path in [folder.replace("{pair}", pair) for pair in config["pairs"]]:
            if not os.path.isdir(root / path):
                yield (
                    f"evaluation.texts.{name}: there is no folder {path!r}; give one that holds a "
                    "text file for every talk"
                )
    folder = os.path.dirname(os.path.normpath(config["base"]["model"]))
    if folder == HUB_MODELS and "hub" not in config["base"]:
        yield f"base.hub: {folder} is for models of the Hub; name the revision in base.hub"
    if os.path.normpath(data["archive"]) == HUB_COPY and "hub" not in data:
        yield f"data.hub: {HUB_COPY} is downloaded from the Hub; name the revision in data.hub"


def _is_made_here(config: Config, path: str) -> bool:
    """Whether a path is the output of a rule, so that it need not exist before the run."""
    folders = os.path.normpath(path).split(os.sep)
    owners = (config["experiment"], *SHARED)
    return len(folders) > 1 and folders[0] == "results" and folders[1] in owners


def _split_problems(config: Config) -> Iterator[str]:
    """Parts of the data that are needed and would be empty."""
    split, pruning = config["data"]["split"], config["pruning"]
    by_talks = split["method"] == "talks"
    if by_talks and not split["test_talks"]:
        yield "data.split.test_talks: the method talks needs a talk to test on; name one"
    validation = training_checks.has_validation(config)
    measured = config["evaluation"]["sensitivities"] or systems.budgets(config)
    searched = pruning["iterations"] or measured
    if searched and pruning["split"] == "validation" and not validation:
        what = "the search translates" if pruning["iterations"] else "sensitivities are measured on"
        yield (
            f"pruning.split: {what} validation data and data.split sets none aside; "
            "give data.split.validation_size, or set pruning.split to test"
        )


def _pruning_problems(config: Config, root: Path) -> Iterator[str]:
    """More removals than the teacher has layers, and students with more than the search makes."""
    pruning = config["pruning"]
    protected = pruning["protect_first"], pruning["protect_last"]
    model = (config["teacher"]["model"] or config["base"]["model"]).replace(
        "{pair}", config["pairs"][0]
    )
    if layers := _decoder_layers(root / model):
        most = max(0, layers - sum(protected))
        if pruning["iterations"] > most:
            yield (
                f"pruning.iterations: {pruning['iterations']} of the {layers} layers of {model} "
                f"cannot be removed, because {protected[0]} + {protected[1]} are protected; "
                f"lower it to {most} or less"
            )
    for name, student in config["students"].items():
        if systems.is_open(config, name):
            continue
        if student["layers_removed"] > pruning["iterations"]:
            yield (
                f"students.{name}.layers_removed: {student['layers_removed']} is more than "
                f"pruning.iterations, {pruning['iterations']}; raise that or lower this"
            )


def _decoder_layers(model: Path) -> int | None:
    """By config.json; None where that does not exist yet or does not say.

    The first job that opens the model reports what is wrong with its config.json.
    """
    path = model / "config.json"
    if not os.path.isfile(path):
        return None
    try:
        with path.open(encoding="utf-8-sig") as file:
            count = json.loads(file.read(2**22))["text_config"]["num_hidden_layers"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return count if type(count) is int else None


def _comet_problems(config: Config, root: Path) -> Iterator[str]:
    """COMET checkpoints that are neither on disk nor an id on the Hub."""
    for name, metric in config["evaluation"]["comet"].items():
        model = metric["model"]
        on_hub = re.fullmatch(r"\w[\w.-]*/[\w.-]+", model) and not model.endswith(".ckpt")
        if not on_hub and not os.path.exists(root / model):
            yield (
                f"evaluation.comet.{name}.model: there is no {model!r}; give the path of a .ckpt "
                "file, the path of the folder that holds its checkpoints/, or an id on the Hugging "
                "Face Hub such as Unbabel/wmt22-comet-da"
            )


def _engine_problems(config: Config) -> Iterator[str]:
    """Serving engines render the chat template, whatever the prompt."""
    asked = {"serving.forms": config["serving"]["forms"]}
    asked["distillation.engine"] = config["distillation"]["engine"]
    if config["prompt"]["template"] == "plain":
        for key in filter(asked.get, asked):
            yield f"{key}: an engine cannot be asked with prompt.template: plain; leave {key} out"


def _release_problems(config: Config) -> Iterator[str]:
    """A licence without the name and the link that the Hub wants for one it does not know."""
    release = config["release"]
    name, link = release["license_name"], release["license_link"]
    if release["license"] == "other" and not (name and link):
        yield (
            "release.license: other stands for a licence that the Hub has no name for; give "
            "release.license_name and release.license_link too"
        )
    if release["license"] != "other" and (name or link):
        yield (
            "release.license_name, release.license_link: these belong to release.license: other; "
            "remove them, or change release.license to other"
        )


def _submission_problems(config: Config, root: Path) -> Iterator[str]:
    """A primary system that is no student, pairs that are not translated, and missing files."""
    submission = config["submission"]
    if submission["primary"] not in (None, *config["students"]):
        yield (
            f"submission.primary: there is no student {submission['primary']}; name one of "
            f"{', '.join(config['students'])}"
        )
    for name, test in submission["tests"].items():
        key = f"submission.tests.{name}"
        pairs = test.get("pairs", config["pairs"])
        if unknown := [pair for pair in pairs if pair not in config["pairs"]]:
            yield f"{key}.pairs: {', '.join(unknown)} is not in pairs; add it there or remove it"
        for part in ("folder", "segments", "references", "transcript"):
            for path in dict.fromkeys(test.get(part, "").replace("{pair}", pair) for pair in pairs):
                if path and not _is_made_here(config, path) and not (root / path).exists():
                    yield f"{key}.{part}: there is no {path!r}; give the path of your download"
