"""What is planned, from which target, and what is planned again after a change. Nothing runs."""

import re
import resource
from copy import deepcopy
from fnmatch import fnmatch

import pytest
from configs import fill
from graph import read_graph
from project import REPOSITORY, finish, make_project

from slimspeech import systems
from slimspeech.steps import steps

PER_PAIR = {
    "split_manifest": 1,
    "prepare_out_of_domain": 1,
    "train_teacher": 1,
    "translate_train": 1,
    "filter_pseudo_labels": 1,
    "list_layers": 1,
    "choose_segments": 1,
    "encode_clips": 1,
    "score_unpruned": 1,
    "score_layers": 3,
    "gather_scores": 3,
    "select_layer": 3,
    "materialize_pruned": 1,
    "train_student": 1,  # of B and its controls
    "train_adapter": 3,  # A, B and B_out_of_domain
    "merge_adapter": 3,
    "choose_vocabulary": 1,  # of B_trimmed
    "trim_vocabulary": 1,
    "pack_student": 6,  # A, B, B_trimmed and three controls
    "measure_packing": 4,  # those that have an adapter
    "hash_student": 6,
    "release_student": 6,
    "translate_test": 9,
    "measure_size": 9,
    "score_hypotheses": 9,
    "compare_systems": 1,
    "check_hypotheses": 9,
    "measure_cost": 3,  # teacher, A and B
    "write_submission": 9,
    "score_talks": 9,
}
ONCE = {
    "speak_mini_archive": 1,
    "speak_mini_covost": 1,
    "prepare_segments": 1,
    "record_corpora": 1,
    "tabulate_scores": 1,
    "tabulate_layers": 1,
    "write_config": 1,
    "write_report": 1,
}
HEAVY = {"torch", "transformers", "peft", "datasets", "sacrebleu"}
# What stands behind a student's training, for one student and one pair.
OF_SYSTEM = {
    "translate_test": 1,
    "measure_size": 1,
    "score_hypotheses": 1,
    "check_hypotheses": 1,
    "measure_cost": 1,  # of A and B
    "write_submission": 1,
    "score_talks": 1,
}
STUDENT = {"pack_student": 1, "hash_student": 1, "compare_systems": 1} | OF_SYSTEM
# One that is not in evaluation.cost.systems.
UNTIMED = {rule: count for rule, count in STUDENT.items() if rule != "measure_cost"}
# Every model card has the scores of the comparison, and the cost of teacher and base.
RELEASES = {"release_student": 6}


SEARCHING = ("propose_layers", "score_layers", "gather_scores", "select_layer")


ASKED = {
    "results/mini/data/segments.jsonl": "prepare_segments",
    "results/mini/en-zh/data/test.jsonl": "split_manifest",
    "results/mini/en-de/teacher": "train_teacher",
    "results/mini/en-de/distillation/distilled.jsonl": "filter_pseudo_labels",
    "results/mini/en-de/pruning/embeddings.safetensors": "encode_clips",
    "results/mini/en-de/pruning/shortlist/iter_01/proposal.csv": "propose_layers",
    "results/mini/en-de/pruning/angular/iter_01/scores.csv": "gather_scores",
    "results/mini/en-de/pruning/chrf/iter_02/layers.json": "select_layer",
    "results/mini/en-de/pruning/last/iter_02/layers.json": "select_layer_by_place",
    "results/mini/en-de/pruning/block_influence/iter_02/model": "materialize_pruned",
    "results/mini/layers.md": "tabulate_layers",
    "results/mini/en-de/students/B/1-full/model": "train_student",
    "results/mini/en-de/students/B/2-qlora/model": "merge_adapter",
    "results/mini/en-de/students/A/1-qlora/adapter": "train_adapter",
    "results/mini/en-de/students/B/packed": "pack_student",
    "results/mini/en-de/evaluation/pruned-01/scores.json": "score_hypotheses",
    "results/mini/en-de/evaluation/B/size.json": "measure_size",
    "results/mini/en-de/evaluation/comparison.json": "compare_systems",
    "results/mini/en-de/evaluation/B/checks.json": "check_hypotheses",
    "results/mini/en-de/evaluation/pruned-01/cost.json": "measure_cost",
    "results/mini/en-de/submission/B/hypotheses.txt": "write_submission",
    "results/mini/en-zh/submission/A/scores.json": "score_talks",
    "results/mini/en-zh/submission/A/bundle.tar.gz": "bundle_submission",
    "results/mini/en-de/students/B/release": "release_student",
    "results/mini/en-de/students/B/export/bf16": "export_student",
    "results/mini/en-de/students/B/export/int8": "round_export",
    "results/mini/en-de/students/B/export/w4a16": "round_export",
    "results/mini/scores.md": "tabulate_scores",
    "results/mini/config.json": "write_config",
    "results/mini_base/model": "train_mini_base",
}


def documented_targets():
    """The names in the table of docs/steps.md."""
    text = (REPOSITORY / "docs" / "steps.md").read_text(encoding="utf-8")
    table = re.search(r"\| wanted \| name \|\n.*?\n(.*?)\n\n", text, re.S)[1]
    targets = []
    for name in re.findall(r"`(.*?)`", table):
        if name.startswith("..."):  # beside the one before, from where its path differs
            rest = name.removeprefix(".../")
            folders = targets[-1].split("/")
            name = "/".join([*folders[: -len(rest.split("/"))], rest])
        targets.append(name)
    return targets


SIZES = [
    f"results/mini/en-de/evaluation/{name}/size.json" for name in ("pruned-03", "pruned-loss-03")
]


@pytest.fixture(scope="module")
def default(planned):
    """The default config: its default target, and all that tests and documents ask for by name."""
    return read_graph(planned, "all", *{**ASKED, **dict.fromkeys([*documented_targets(), *SIZES])})


@pytest.fixture
def config(planned):
    return planned.default_config()


def test_default_config_plans_every_job_once(default):
    jobs = default.count(*default.job("all").input)
    assert jobs == {rule: 2 * count for rule, count in PER_PAIR.items()} | ONCE


def test_the_picture_in_the_docs_is_of_the_rules_that_exist(default):
    """`make pictures` draws docs/rulegraph.svg; it leaves arrows out, but has none of its own."""
    picture = (REPOSITORY / "docs" / "rulegraph.svg").read_text(encoding="utf-8")
    drawn = dict(re.findall(r"<title>(\d+)</title>.*?<text[^>]*>(\w+)</text>", picture, re.S))
    behind_all = [default.job("all"), *default.upstream(*default.job("all").input)]
    assert set(drawn.values()) == {job.rule for job in behind_all}
    needs = {
        (default.made[path].rule, job.rule)
        for job in behind_all
        for path in job.input
        if path in default.made
    }
    arrows = re.findall(r"<title>(\d+)&#45;&gt;(\d+)</title>", picture)
    assert len(arrows) > 40
    assert {(drawn[a], drawn[b]) for a, b in arrows} <= needs


def test_planning_is_quick_and_needs_no_library(planned):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = planned.snakemake("--dry-run", "--quiet", python=("-X", "importtime"))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout[-2000:]
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stdout, re.M))
    assert "snakemake" in imported
    assert not {name for name in imported if name.split(".")[0] in HEAVY}
    assert after.ru_utime - before.ru_utime < 10  # seconds of a core; about 2


@pytest.mark.parametrize(("target", "rule"), ASKED.items())
def test_results_can_be_asked_for_by_name(default, target, rule):
    assert default.made[target].rule == rule


def test_every_name_in_the_docs_can_be_asked_for(default):
    targets = documented_targets()
    assert len(targets) > 20
    assert set(targets) <= set(default.made)


@pytest.mark.parametrize("name", ["acl6060.zip", "acl6060-hub"])
def test_acl6060_is_fetched_if_its_path_is_given(planned, config, name):
    config["data"] |= {"archive": f"results/corpora/{name}", "hub": {"revision": "0" * 40}}
    fetched = {"acl6060.zip": "download_acl6060", "acl6060-hub": "download_acl6060_hub"}[name]
    jobs = planned.plan("results/mini/data/segments.jsonl", config=config)
    assert jobs == {fetched: 1, "prepare_segments": 1}


def test_a_base_model_is_fetched_if_it_is_to_lie_among_the_fetched(planned, config):
    config["base"] = {"model": "results/models/mine", "hub": {"revision": "0" * 40}}
    jobs = planned.plan("results/mini/en-de/teacher", config=config)
    assert jobs["download_base"] == 1


@pytest.mark.parametrize(
    "target",
    [
        "results/models/other",  # not the base model of the config
        "results/mini/en-de/pruning/chrf/iter_00/layers.json",  # before any search
        "results/other/scores.md",  # of another experiment
    ],
)
def test_no_rule_makes_what_belongs_to_no_experiment(planned, target):
    assert "MissingRuleException" in planned.snakemake("--dry-run", target).stdout


def test_a_target_brings_only_what_it_needs(default):
    jobs = default.count("results/mini/en-de/pruning/chrf/iter_02/model")
    assert jobs == {
        "speak_mini_archive": 1,
        "prepare_segments": 1,
        "split_manifest": 1,
        "train_teacher": 1,
        "list_layers": 1,
        "choose_segments": 1,
        "encode_clips": 1,
        "score_layers": 2,
        "gather_scores": 2,
        "select_layer": 2,
        "materialize_pruned": 1,
    }
    jobs = default.count("results/mini/en-de/pruning/iter_00/layers.json")
    assert jobs["list_layers"] == 1
    assert not {"encode_clips", "score_layers"} & jobs.keys()


def everything(config):
    """Systems by every criterion, and a text of another system."""
    config["evaluation"]["comet"] = {"comet22": {"model": "Unbabel/wmt22-comet-da"}}
    config["evaluation"]["texts"] = {"cascade": "config"}
    config["pruning"] |= {"comet": "comet22", "sets": {"listed": {"en-de": [5, 3]}}}
    config["pairs"] = ["en-de"]
    config["students"]["P"] = {"criterion": "loss", "stages": [{"method": "prune", "layers": 1}]}
    criteria = [*systems.MEASURED, *systems.BY_PLACE, "listed"]
    config["evaluation"]["systems"] += ["P", *(systems.pruned_name(name, 1) for name in criteria)]
    return config


# Rules whose failure shows in another way, or that the steps do not reach.
BESIDE = {"speak_mini_archive", "speak_mini_covost", "install_comet"}


def test_the_steps_to_a_system_are_those_of_the_rules(planned, config):
    filled = fill(everything(config))
    graph = read_graph(planned, config=config)
    folders = {"experiment": "mini", "pair": "en-de"}
    for name in [*config["evaluation"]["systems"], "cascade"]:
        chain = steps(filled, name)
        for step in chain:
            output = step.output.format_map(folders)
            assert graph.made[output].rule == list(step.logs)[-1]
            logs = [(job.rule, log) for job in graph.upstream(output) for log in job.log]
            for rule, log in step.logs.items():
                pattern = log.format_map(folders)
                assert [path for name, path in logs if name == rule and fnmatch(path, pattern)]
        behind = {job.rule for job in graph.upstream(chain[-1].output.format_map(folders))}
        if name == "cascade":
            continue
        assert behind - BESIDE == {rule for step in chain for rule in step.logs}, name


def test_an_engine_may_translate_for_the_teacher(planned, config):
    """Each share by an engine of its own, after vLLM's words were compared."""
    config["distillation"] = {"engine": "vllm", "shards": 3}
    graph = read_graph(planned, config=config)
    jobs = graph.count("results/mini/en-de/distillation/distilled.jsonl")
    assert jobs["translate_train_in_vllm"] == jobs["write_train_requests"] == 3
    assert jobs["check_teacher_parity"] == jobs["export_teacher"] == 1
    assert "translate_train" not in jobs
    rules = {rule for step in steps(fill(config), "A") for rule in step.logs}
    behind = graph.upstream("results/mini/en-de/evaluation/A/scores.json")
    assert {job.rule for job in behind} - BESIDE - {"install_vllm"} == rules


DATA = {"speak_mini_archive": 1, "prepare_segments": 1, "split_manifest": 1, "choose_segments": 1}
IN_THREE = {"score_layers": 6, "gather_scores": 2, "select_layer": 2}
IN_ONE = IN_THREE | {"score_layers": 2}


@pytest.fixture(scope="module")
def searching(planned):
    """Two iterations by every criterion."""
    config = planned.default_config()
    config["teacher"] = {"model": "resources/mini/base"}
    config["pruning"]["shards"] = 3
    folder = "results/mini/en-de/pruning"
    criteria = [*systems.MEASURED, *systems.BY_PLACE]
    targets = [f"{folder}/{name}/iter_02/layers.json" for name in criteria if name != "comet"]
    return read_graph(planned, *targets, config=config)


@pytest.mark.parametrize(
    ("criterion", "jobs"),
    [
        ("chrf", DATA | {"encode_clips": 1} | IN_THREE),
        ("shortlist", DATA | {"encode_clips": 1, "propose_layers": 2} | IN_THREE),
        ("loss", DATA | IN_THREE),
        # The teacher's own words, which the search by translation starts from too.
        ("kl", DATA | {"encode_clips": 1, "score_unpruned": 1} | IN_THREE),
        # One pass measures every layer, so it is never split.
        ("block_influence", DATA | IN_ONE),
        ("angular", DATA | IN_ONE),
        # By place: no model is loaded and no data needed.
        ("middle", {"select_layer_by_place": 2}),
        ("last", {"select_layer_by_place": 2}),
    ],
)
def test_a_criterion_brings_only_the_jobs_it_needs(searching, criterion, jobs):
    target = f"results/mini/en-de/pruning/{criterion}/iter_02/layers.json"
    assert searching.count(target) == jobs | {"list_layers": 1}


def test_the_configured_criterion_is_the_one_that_runs(planned, config):
    config["pruning"]["criterion"] = "middle"
    jobs = planned.plan(config=config)
    assert jobs["select_layer_by_place"] == 6
    assert jobs["tabulate_layers"] == 1
    searching = {"encode_clips", "score_unpruned", "score_layers", "gather_scores", "select_layer"}
    assert not searching & jobs.keys()


def test_seeds_run_nothing_twice_that_they_share(planned, config):
    """With three seeds: every training three times, data and the base model once."""
    config["seed"] = [0, 1, 2]
    graph = read_graph(planned, config=config)
    jobs = graph.count(*graph.job("all").input)
    one_seed = {rule: 2 * count for rule, count in PER_PAIR.items()} | ONCE
    for rule in ("train_teacher", "train_student", "train_adapter", "score_layers"):
        assert jobs[rule] == 3 * one_seed[rule]
    assert jobs["translate_test"] == 3 * one_seed["translate_test"] - 2 * 2  # the base model
    for rule in ("prepare_segments", "split_manifest", "prepare_out_of_domain", "measure_cost"):
        assert jobs[rule] == one_seed[rule]
    assert (jobs["tabulate_scores"], jobs["summarise_seeds"]) == (3, 1)
    behind = graph.upstream("results/mini/seed-2/en-de/students/B/packed")
    own = [path for job in behind for path in job.output if "/seed-" in path]
    assert own and all(path.startswith("results/mini/seed-2/") for path in own)
    linked = {path for job in behind if job.rule.startswith("link_") for path in job.output}
    folder = "results/mini/seed-2"
    assert {f"{folder}/data/audio", f"{folder}/en-de/data/train.jsonl"} <= linked


def test_a_seed_more_reruns_nothing_of_the_first(finished):
    config = finished.default_config()
    config["seed"] = [0, 1]
    jobs = finished.plan(config=config)
    assert jobs["train_teacher"] == 2 and jobs["summarise_seeds"] == 1
    assert not {"prepare_segments", "split_manifest", "measure_cost"} & jobs.keys()


def test_the_study_is_planned(planned):
    jobs = planned.plan("--configfile", "config/study.yaml")
    assert jobs["summarise_seeds"] == 1 and jobs["train_teacher"] == 6


def test_other_forms_of_the_study_share_its_trainings(planned):
    plain = planned.plan("--configfile", "config/study.yaml", "--config", "seed=0")
    jobs = planned.plan("--configfile", "config/study.yaml", "config/forms.yaml")
    for rule in ("train_teacher", "train_student", "train_adapter"):
        assert jobs[rule] == plain[rule] > 0
    assert jobs["spend_budget"] == 6  # three students, two pairs
    # Of the other recipes, one repair is new and both adapters are; two pairs.
    jobs = planned.plan("--configfile", "config/study.yaml", "config/recipes.yaml")
    assert jobs["train_teacher"] == plain["train_teacher"]
    assert jobs["train_student"] == plain["train_student"] + 2
    assert jobs["train_adapter"] == plain["train_adapter"] + 4


def test_shards_can_be_set_for_one_run(planned):
    target = "results/mini/en-de/pruning/chrf/iter_01/scores.csv"
    jobs = planned.plan(target, "--set-scatter", "layers=4")
    assert (jobs["score_layers"], jobs["gather_scores"]) == (4, 1)


def test_a_student_may_have_a_criterion_of_its_own(planned, config):
    config["students"]["B"]["criterion"] = "loss"
    graph = read_graph(planned, config=config)
    jobs = graph.count(*graph.job("all").input)
    # Two pairs, two searches, three iterations: that of the config is made for the systems.
    assert {jobs[rule] for rule in ("score_layers", "gather_scores", "select_layer")} == {12}
    assert jobs["materialize_pruned"] == 4
    assert jobs["encode_clips"] == 2
    behind = graph.upstream("results/mini/en-de/students/B/1-full/model")
    paths = [path for job in behind for path in job.output]
    assert "results/mini/en-de/pruning/loss/iter_03/model" in paths
    assert not [path for path in paths if "pruning/chrf/" in path]


def test_pruned_systems_are_named_by_their_criterion(default, planned, config):
    jobs = default.count(*SIZES)
    assert (jobs["materialize_pruned"], jobs["score_layers"]) == (2, 6)
    # The same model by its short name and by its long one.
    config["pruning"]["criterion"] = "loss"
    jobs = planned.plan(*SIZES, config=config)
    assert (jobs["materialize_pruned"], jobs["score_layers"]) == (1, 3)


def test_the_last_model_of_each_search_may_be_kept(planned, config):
    config["pruning"]["keep_checkpoints"] = "last"
    config["pruning"]["sets"] = {"listed": {"en-de": [5, 3], "en-zh": [2]}}
    config["evaluation"]["systems"] = ["pruned-listed-01"]
    config["students"] = {}
    jobs = read_graph(planned, config=config).jobs
    models = {job.output[0] for job in jobs if job.rule == "materialize_pruned"}
    assert models == {
        "results/mini/en-de/pruning/chrf/iter_03/model",
        "results/mini/en-zh/pruning/chrf/iter_03/model",
        "results/mini/en-de/pruning/listed/iter_01/model",  # for the system
        "results/mini/en-de/pruning/listed/iter_02/model",  # a set may be shorter than a search
        "results/mini/en-zh/pruning/listed/iter_01/model",
    }


def test_models_that_others_need_are_made_even_if_not_kept(planned, config):
    config["pruning"]["keep_checkpoints"] = "none"
    config["students"]["B"]["layers_removed"] = 2
    config["evaluation"] |= {"systems": ["pruned-01", "B"], "cost": {"repeats": 0}}
    jobs = planned.plan(config=config)
    assert jobs["materialize_pruned"] == 6  # three a pair, one for B_repaired
    assert "measure_cost" not in jobs


def test_without_students_pruning_and_out_of_domain(planned, config):
    config["students"] = {}
    del config["pruning"], config["data"]["out_of_domain"]
    config["teacher"] = {"model": "resources/mini/base"}
    config["evaluation"] = {"systems": ["base", "teacher"]}
    assert planned.plan(config=config) == {
        "speak_mini_archive": 1,
        "prepare_segments": 1,
        "record_corpora": 1,
        "split_manifest": 2,
        **{rule: 4 * count for rule, count in OF_SYSTEM.items()},
        "compare_systems": 2,
        "tabulate_scores": 1,
        "write_config": 1,
        "write_report": 1,
    }


def test_a_config_given_by_name_stands_alone(planned, config):
    del config["students"]["A"], config["evaluation"]
    config["evaluation"] = {"systems": ["B"]}
    assert planned.plan(config=config)["pack_student"] == 10


def test_an_experiment_never_touches_another(planned, config):
    config["experiment"] = "other"
    jobs = read_graph(planned, config=config).jobs
    files = {file for job in jobs for file in [*job.output, *job.log, *job.benchmark]}
    assert len(files) > 100
    shared = {file for file in files if not re.match(r"(results|logs)/other/", file)}
    assert {file for file in shared if "corpora/mini/" not in file} == {
        "logs/mini/speak_mini_archive.log",
        "logs/mini/speak_mini_covost.log",
    }


def both_pairs(*jobs):
    """Jobs of both pairs, and the two that every change of config brings."""
    total = {}
    for part in jobs:
        for rule, count in part.items():
            total[rule] = total.get(rule, 0) + 2 * count
    return total | {"write_config": 1, "write_report": 1}


def test_finished_results_stay_also_with_keys_in_another_order(finished):
    assert finished.plan() == {}
    assert finished.plan(config=finished.default_config()) == {}  # written with sorted keys


def test_a_comment_in_a_script_reruns_nothing(finished):
    for script in (finished.root / "workflow" / "scripts").glob("*.py"):
        script.write_text(script.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert finished.plan() == {}


def test_a_students_setting_reruns_that_student(finished):
    config = finished.default_config()
    config["students"]["A"]["stages"][0]["training"]["learning_rate"] = 1e-3
    assert finished.plan(config=config) == both_pairs(
        {"train_adapter": 1, "merge_adapter": 1, "measure_packing": 1}, STUDENT, RELEASES
    ) | {"tabulate_scores": 1}


def test_a_last_stage_reruns_no_stage_before_it(finished):
    config = finished.default_config()
    del config["students"]["B_trimmed"]  # shares the stage
    config["evaluation"]["systems"].remove("B_trimmed")
    config["students"]["B"]["stages"][1]["lora"]["r"] = 8
    assert finished.plan(config=config) == both_pairs(
        {"train_adapter": 1, "merge_adapter": 1, "measure_packing": 1},
        STUDENT,
        {"release_student": 5},
    ) | {"tabulate_scores": 1}


def test_a_new_student_reruns_no_other(finished):
    config = finished.default_config()
    config["students"]["C"] = deepcopy(config["students"]["A"])
    config["students"]["C"]["stages"][0]["lora"]["r"] = 8
    config["evaluation"]["systems"].append("C")
    assert finished.plan(config=config) == both_pairs(
        {"train_adapter": 1, "merge_adapter": 1, "measure_packing": 1},
        UNTIMED,
        {"release_student": 7},
    ) | {"tabulate_scores": 1}


def test_a_student_that_begins_as_another_trains_no_stage_again(finished):
    config = finished.default_config()
    config["students"]["C"] = deepcopy(config["students"]["B"])
    config["students"]["C"]["quantization"] = "none"
    config["evaluation"]["systems"].append("C")
    jobs = both_pairs(UNTIMED, {"measure_packing": 1, "release_student": 7})
    assert finished.plan(config=config) == jobs | {"tabulate_scores": 1}


def test_another_way_of_merging_trains_nothing_again(finished):
    config = finished.default_config()
    config["students"]["A"]["merge"] = "original"
    jobs = both_pairs(STUDENT, RELEASES, {"merge_adapter": 1, "measure_packing": 1})
    assert finished.plan(config=config) == jobs | {"tabulate_scores": 1}


def test_an_adapter_that_is_kept_is_packed_and_not_merged(finished):
    config = finished.default_config()
    config["students"]["A"]["merge"] = "keep"
    jobs = both_pairs(STUDENT, RELEASES, {"measure_packing": 1})
    assert finished.plan(config=config) == jobs | {"tabulate_scores": 1}
    path = finished.write_config(config)
    student = "results/mini/en-de/students/A"
    done = finished.succeed(f"{student}/export/bf16", "--dry-run", "--configfile", path)
    assert f"input: results/mini/en-de/teacher, {student}/1-qlora/adapter" in done


def test_serving_adds_engines_to_the_default_config_and_trains_nothing(finished):
    """Models A and B, two forms of each."""
    jobs = finished.plan("--configfile", "config/config.yaml", "config/serving.yaml")
    once = ("export_student", "translate_trained", "write_requests", "round_export")
    twice = ("run_vllm", "check_parity", "measure_engine_cost")
    rules = dict.fromkeys(once, 2) | dict.fromkeys(twice, 4) | {"release_student": 2}
    assert jobs == both_pairs(rules) | {"install_vllm": 1}


@pytest.mark.parametrize(("before", "trainings"), [("packing", 0), ("training", 1)])
def test_a_trimmed_vocabulary_trains_again_only_if_it_is_trimmed_before(
    finished, before, trainings
):
    config = finished.default_config()
    config["students"]["C"] = deepcopy(config["students"]["B"])
    config["students"]["C"]["vocabulary"] = {"size": 1024, "before": before}
    config["evaluation"]["systems"].append("C")
    rules = {"choose_vocabulary": 1, "trim_vocabulary": 1, "measure_packing": 1}
    if trainings:
        rules |= dict.fromkeys(("train_student", "train_adapter", "merge_adapter"), trainings)
    assert finished.plan(config=config) == both_pairs(rules, UNTIMED, {"release_student": 7}) | {
        "tabulate_scores": 1
    }


def test_one_more_iteration_runs_that_iteration_alone(finished):
    config = finished.default_config()
    config["pruning"]["iterations"] = 4
    assert finished.plan(config=config) == both_pairs(
        {"score_layers": 1, "gather_scores": 1, "select_layer": 1, "materialize_pruned": 1}
    ) | {"tabulate_layers": 1}


def test_the_teachers_learning_rate_reruns_all_but_the_data(finished):
    config = finished.default_config()
    config["teacher"]["training"]["learning_rate"] = 1e-3
    jobs = {rule: 2 * count for rule, count in PER_PAIR.items()}
    del jobs["split_manifest"], jobs["prepare_out_of_domain"], jobs["choose_segments"]
    for rule in OF_SYSTEM.keys() - {"measure_cost"}:
        jobs[rule] -= 2  # the base, which no teacher made and whose cost is not measured
    tables = {"tabulate_scores": 1, "tabulate_layers": 1, "write_config": 1, "write_report": 1}
    assert finished.plan(config=config) == jobs | tables


def test_other_metrics_rerun_the_scoring_alone(finished):
    config = finished.default_config()
    config["evaluation"]["metrics"] = ["chrf"]
    assert finished.plan(config=config) == both_pairs(
        {"score_hypotheses": 9, "score_talks": 9, "compare_systems": 1}, RELEASES
    ) | {"tabulate_scores": 1}


def test_how_cost_is_measured_reruns_that_alone(finished):
    config = finished.default_config()
    config["evaluation"]["cost"]["repeats"] = 5
    assert finished.plan(config=config) == both_pairs({"measure_cost": 3}, RELEASES)


def test_what_the_cards_say_of_a_licence_writes_them_alone(finished):
    config = finished.default_config()
    config["release"] = {"license": "mit"}
    assert finished.plan(config=config) == both_pairs(RELEASES)


def test_a_student_that_is_not_evaluated_is_released_without_scores(planned, config):
    config["evaluation"]["systems"] = ["teacher", "A"]
    config["evaluation"]["texts"] = {"cascade": "config"}
    graph = read_graph(planned, config=config)
    jobs = graph.count("results/mini/en-de/students/B/release")
    assert jobs["release_student"] == jobs["measure_size"] == 1
    assert not {"compare_systems", "translate_test", "measure_cost"} & jobs.keys()
    # Two pairs: two systems, and the text of another.
    assert graph.count(*graph.job("all").input)["score_talks"] == 6


def test_another_batch_of_systems_reruns_the_tables_alone(finished):
    config = finished.default_config()
    config["evaluation"]["systems"] = ["teacher", "A"]
    tables = {"tabulate_scores": 1, "write_config": 1, "write_report": 1}
    assert finished.plan(config=config) == both_pairs({"compare_systems": 1}, RELEASES) | tables


def test_a_forced_search_keeps_the_teacher(finished):
    jobs = finished.plan("results/mini/scores.md", "--forcerun", "score_layers")
    assert jobs["score_layers"] == 6
    assert not {"train_teacher", "prepare_segments", "translate_train"} & jobs.keys()


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """For dry-runs only: as if four searches had run, of two iterations each."""
    project = make_project(tmp_path_factory.mktemp("searched") / "project")
    return finish(project, searches(project))


def searches(project):
    config = project.default_config()
    config["pairs"] = ["en-de"]
    config["teacher"] = {"model": "resources/mini/base"}
    config["pruning"] |= {"iterations": 2, "keep_checkpoints": "none"}
    config["students"] = {
        name: {"criterion": name, "layers_removed": 1, "stages": []}
        for name in ("shortlist", "loss", "angular")
    }
    config["evaluation"]["systems"] = ["teacher"]
    return config


def search(project, config):
    """The measuring jobs that are planned, by criterion."""
    path = project.write_config(config)
    text = project.succeed("--dry-run", "--configfile", path)
    jobs = re.findall(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    output: (\S+)", text, re.M)
    assert jobs
    found = {}
    for rule, output in jobs:
        if rule in ("encode_clips", *SEARCHING):
            criterion = output.removeprefix("results/mini/en-de/pruning/").partition("/")[0]
            found[criterion, rule] = found.get((criterion, rule), 0) + 1
    return found


def iterations(criterion, count, rules=SEARCHING[1:]):
    return {(criterion, rule): count for rule in rules}


def test_finished_searches_stay(searched):
    assert searched.plan(config=searches(searched)) == {}


def test_a_longer_shortlist_reruns_the_shortlist_alone(searched):
    config = searches(searched)
    config["pruning"]["shortlist"] = {"size": 3}
    # The second iteration goes on from the first, so that its proposal is made again too.
    assert search(searched, config) == iterations("shortlist", 2) | {
        ("shortlist", "propose_layers"): 1
    }


def test_another_proposal_reruns_the_shortlist_alone(searched):
    config = searches(searched)
    config["pruning"]["shortlist"] = {"by": "block_influence"}
    assert search(searched, config) == iterations("shortlist", 2, SEARCHING)


def test_another_number_of_iterations_reruns_the_blocks_alone(searched):
    config = searches(searched)
    config["pruning"]["iterations"] = 3
    # A block is as long as the search: the others go on from where they are.
    assert search(searched, config) == (
        iterations("chrf", 1)
        | iterations("loss", 1)
        | iterations("shortlist", 1, SEARCHING)
        | iterations("angular", 3)
    )


def test_another_metric_reruns_what_translates(searched):
    config = searches(searched)
    config["pruning"]["metric"] = "bleu"
    assert search(searched, config) == (
        iterations("chrf", 2) | iterations("shortlist", 2) | {("shortlist", "propose_layers"): 1}
    )


def test_a_comet_metric_is_scored_beside_what_is_there(finished):
    config = finished.default_config()
    config["evaluation"]["comet"] = {"comet22": {"model": "Unbabel/wmt22-comet-da"}}
    assert finished.plan(config=config) == {
        "install_comet": 1,
        "fetch_comet": 1,
        "score_comet": 18,
        "compare_systems": 2,
        "release_student": 12,
        "tabulate_scores": 1,
        "write_config": 1,
        "write_report": 1,
    }


@pytest.mark.parametrize(
    "training, expected",
    [
        ({"gpus": 4}, {"gpu": "4", "nodes": "1"}),
        ({"gpus": 4, "nodes": 2}, {"nodes": "2", "mpi": "srun", "tasks_per_node": "2"}),
        ({"gpus": 2, "nodes": 2}, {"nodes": "2", "mpi": "srun", "tasks": "2"}),
    ],
)
def test_what_slurm_is_asked_for_a_training_on_several_gpus(planned, training, expected):
    config = planned.default_config()
    config["teacher"]["training"] |= training
    path = planned.write_config(config)
    target = ("results/mini/en-de/teacher", "--dry-run", "--configfile", path)
    text = planned.succeed(*target, "--profile", "profiles/slurm")
    line = re.search(r"^rule train_teacher:\n(?:    .*\n)*?    resources: (.*)", text, re.M)[1]
    asked = dict(item.split("=") for item in line.split(", "))
    assert {name: asked[name] for name in expected} == expected
    assert len({"mpi", "tasks", "tasks_per_node"} & asked.keys()) == 2 * (asked["nodes"] != "1")
    refused = planned.snakemake(*target, "--cores", "2", "--resources", "gpu=4")
    assert ("nodes are of SLURM" in refused.stdout) == (asked["nodes"] != "1")
