"""Names under results/, and the rules that make a system."""

import re

import pytest

from slimspeech import systems
from slimspeech.steps import steps
from slimspeech.systems import Pruned

FULL = {"method": "full", "data": {"gold": 1}}
QLORA = {"method": "qlora", "data": {"distilled": 2, "out_of_domain": 1}}
PRUNE = {"method": "prune", "part": "encoder", "layers": 2}
CONFIG = {
    "experiment": "mine",
    "pairs": ["en-de", "en-zh"],
    "base": {"model": "models/base"},
    "teacher": {"model": None},
    "distillation": {"engine": None},
    "pruning": {
        "criterion": "chrf",
        "iterations": 2,
        "comet": "comet22",
        "sets": {"listed": {"en-de": [3]}},
    },
    "students": {
        "A": {"layers_removed": 0, "criterion": "loss", "stages": []},
        "B": {"layers_removed": 2, "criterion": None, "stages": [FULL, PRUNE, QLORA]},
        "C": {"layers_removed": 1, "criterion": "comet", "stages": []},
    },
    "evaluation": {"systems": ["base", "pruned-01", "pruned-angular-02", "B"], "texts": {"T": "t"}},
}
GIVEN = CONFIG | {"teacher": {"model": "teachers/{pair}"}}
PAIR = "results/{experiment}/{pair}"


@pytest.mark.parametrize(
    ("system", "pruned"),
    [
        ("pruned-02", Pruned("chrf", 2)),
        ("pruned-block_influence-12", Pruned("block_influence", 12)),
        ("pruned-x", None),
        ("teacher", None),
        ("B", None),
    ],
)
def test_a_pruned_teacher_is_named_by_criterion_and_removals(system, pruned):
    assert systems.parse_pruned(CONFIG, system) == pruned


def test_the_full_name_leads_back():
    name = systems.pruned_name("loss", 3)
    assert name == "pruned-loss-03"
    assert systems.parse_pruned(CONFIG, name) == Pruned("loss", 3)


def test_a_student_without_a_criterion_has_that_of_the_config():
    assert systems.student_start(CONFIG, "B") == Pruned("chrf", 2)
    assert systems.student_start(CONFIG, "C") == Pruned("comet", 1)
    assert systems.recipe(CONFIG, "B")["criterion"] == "chrf"
    assert systems.recipe(CONFIG, "teacher") is None


def test_searches_are_made_for_whom_they_prune():
    # Of A no layer is removed, so that its criterion needs no search.
    assert systems.searches(CONFIG) == ["chrf", "comet", "angular"]


def test_a_search_is_as_long_as_its_set():
    lengths = [systems.search_length(CONFIG, "listed", pair) for pair in CONFIG["pairs"]]
    assert lengths == [1, 0]
    assert systems.search_length(CONFIG, "chrf", "en-de") == 2


def test_every_name_fits_the_pattern_and_no_other():
    names = systems.system_names(CONFIG)
    assert {"base", "pruned-02", "pruned-listed-01", "C"} <= set(names)
    assert "pruned-03" not in names
    pattern = systems.system_pattern(CONFIG)
    assert all(re.fullmatch(pattern, name) for name in names)
    assert not [n for n in ("pruned-00", "pruned-taylor-01", "D") if re.fullmatch(pattern, n)]


def test_stages_are_numbered():
    assert list(systems.stages(CONFIG["students"]["B"])) == ["1-full", "2-prune", "3-qlora"]


@pytest.mark.parametrize(
    ("config", "system", "path"),
    [
        (CONFIG, "base", "models/base"),
        (CONFIG, "teacher", f"{PAIR}/teacher"),
        (GIVEN, "teacher", "teachers/{pair}"),
        (CONFIG, "pruned-01", f"{PAIR}/pruning/chrf/iter_01/model"),
        (CONFIG, "B", f"{PAIR}/students/B/packed"),
    ],
)
def test_each_system_has_its_model(config, system, path):
    assert systems.system_model(config, system) == path


def test_a_stage_starts_from_the_one_before_it():
    assert systems.stage_models(CONFIG, "B") == [
        f"{PAIR}/pruning/chrf/iter_02/model",
        f"{PAIR}/students/B/1-full/model",
        f"{PAIR}/students/B/2-prune/model",
        f"{PAIR}/students/B/3-qlora/model",
    ]
    assert systems.stage_models(GIVEN, "A") == ["teachers/{pair}"]


def test_a_student_that_another_one_continues_is_a_control():
    full, prune, qlora = CONFIG["students"]["B"]["stages"]
    students = {
        "B": {"layers_removed": 2, "stages": [full, prune, qlora]},
        "B_repaired": {"layers_removed": 2, "stages": [full]},
        "B_trimmed": {"layers_removed": 2, "stages": [full], "vocabulary": {"size": 64}},
        "B_loss": {"layers_removed": 2, "criterion": "loss", "stages": [full]},
        "quantised": {"layers_removed": 0, "stages": []},
        "A": {"layers_removed": 0, "stages": [qlora]},
        "A_copy": {"layers_removed": 0, "criterion": "loss", "stages": [qlora]},
    }
    config = CONFIG | {"students": {n: {"criterion": None} | s for n, s in students.items()}}
    assert systems.continued_students(config) == {"B_repaired", "quantised"}


def test_students_that_begin_alike_share_their_stages():
    full, prune, qlora = CONFIG["students"]["B"]["stages"]
    others = {
        "C_repaired": {"layers_removed": 2, "stages": [full]},
        "B_wider": {"layers_removed": 2, "stages": [full, prune, qlora | {"lora": {"r": 8}}]},
        "A_deep": {"layers_removed": 1, "stages": [full]},
        "A_loss": {"layers_removed": 2, "criterion": "loss", "stages": [full]},
        "Z_quantised": {"layers_removed": 2, "stages": []},
    }
    students = {
        name: {"criterion": None, "quantization": "nf4"} | student
        for name, student in others.items()
    }
    config = CONFIG | {"students": CONFIG["students"] | students}
    owners = {name: list(systems.stage_owners(config, name).values()) for name in students}
    assert owners == {
        "C_repaired": ["B"],
        "B_wider": ["B", "B", "B_wider"],
        "A_deep": ["A_deep"],
        "A_loss": ["A_loss"],
        "Z_quantised": [],
    }
    assert systems.stage_models(config, "C_repaired")[1:] == [f"{PAIR}/students/B/1-full/model"]
    pruned = [("encoder", f"{PAIR}/students/B/2-prune/layers.json")]
    assert systems.layer_files(config, "B_wider")[1] == pruned
    logs = [step.logs for step in steps(config, "C_repaired")]
    assert {"train_student": "logs/{experiment}/{pair}/train_student/B-1-full.log"} in logs


def trimmed(before: str, **others) -> dict:
    """CONFIG with the vocabulary of B trimmed. others: more students."""
    student = CONFIG["students"]["B"] | {"vocabulary": {"size": 512, "before": before}}
    return CONFIG | {"students": CONFIG["students"] | {"B": student} | others}


def test_a_vocabulary_is_trimmed_before_packing_or_before_training():
    start, folder = f"{PAIR}/pruning/chrf/iter_02/model", f"{PAIR}/students/B"
    packing, training = trimmed("packing"), trimmed("training")
    assert systems.stage_models(packing, "B") == systems.stage_models(CONFIG, "B")
    assert systems.untrimmed_model(packing, "B") == f"{folder}/3-qlora/model"
    assert systems.final_model(packing, "B") == f"{folder}/trimmed"
    assert systems.stage_models(training, "B")[:2] == [
        f"{folder}/trimmed",
        f"{folder}/1-full/model",
    ]
    assert systems.untrimmed_model(training, "B") == start
    assert systems.final_model(training, "B") == f"{folder}/3-qlora/model"
    assert systems.final_model(CONFIG, "B") == f"{folder}/3-qlora/model"
    rules = [[*step.logs] for step in steps(training, "B")]
    trim = ["choose_vocabulary", "trim_vocabulary"]
    assert rules.index(trim) < rules.index(["train_student"])
    rules = [[*step.logs] for step in steps(packing, "B")]
    assert rules.index(trim) == rules.index(["pack_student"]) - 1


@pytest.mark.parametrize(("before", "owner"), [("packing", "B"), ("training", "C")])
def test_students_with_other_tokens_in_training_share_no_stage(before, owner):
    config = trimmed(before, C={"layers_removed": 2, "criterion": None, "stages": [FULL]})
    assert systems.stage_owners(config, "C") == {"1-full": owner}


def test_an_adapter_is_shared_by_students_that_merge_it_in_different_ways():
    again = FULL | {"data": {"gold": 2}}
    student = CONFIG["students"]["B"] | {"merge": "rounded", "stages": [QLORA, again]}
    config = CONFIG | {"students": {"B": student, "C": student | {"merge": "original"}}}
    assert systems.adapter(config, "C", "1-qlora") == f"{PAIR}/students/B/1-qlora/adapter"
    assert systems.stage_owners(config, "C") == {"1-qlora": "C", "2-full": "C"}
    [logs] = [step.logs for step in steps(config, "C") if "merge_adapter" in step.logs]
    assert logs == {
        "train_adapter": "logs/{experiment}/{pair}/train_adapter/B-1-qlora.log",
        "merge_adapter": "logs/{experiment}/{pair}/merge_adapter/C-1-qlora.log",
    }


@pytest.mark.parametrize(
    ("stages", "adapter"),
    [
        ([FULL, QLORA], f"{PAIR}/students/B/2-qlora/adapter"),
        ([QLORA, FULL], None),
        ([], None),
    ],
)
def test_the_adapter_that_packing_could_lose_is_that_of_the_last_stage(stages, adapter):
    student = CONFIG["students"]["B"] | {"stages": stages}
    assert systems.last_adapter(CONFIG | {"students": {"B": student}}, "B") == adapter


def test_an_adapter_that_is_kept_lies_beside_what_it_was_trained_on():
    student = CONFIG["students"]["B"] | {"merge": "keep", "stages": [QLORA, FULL, QLORA]}
    merged = student | {"merge": "rounded"}
    config = CONFIG | {"students": {"B": student, "C": merged}}
    folder = f"{PAIR}/students/B"
    assert systems.kept_adapter(config, "B") == f"{folder}/3-qlora/adapter"
    assert systems.kept_adapter(config, "C") is None
    assert systems.final_model(config, "B") == f"{folder}/2-full/model"
    assert systems.final_model(config, "C") == f"{folder}/3-qlora/model"
    assert systems.merged_into(config, "B") == "rounded"  # adapters of earlier stages
    assert systems.stage_owners(config, "C")["2-full"] == "B"
    *_, last, packed = steps(config, "B")[:-2]
    assert (last.output, [*last.logs]) == (f"{folder}/3-qlora/adapter", ["train_adapter"])
    assert packed.output == f"{folder}/packed"
    config["students"]["B"] |= {"vocabulary": {"size": 512, "before": "packing"}}
    assert systems.untrimmed_model(config, "B") == f"{folder}/2-full/model"
    assert systems.final_model(config, "B") == f"{folder}/trimmed"


def test_a_vocabulary_is_chosen_by_what_the_student_is_trained_on():
    assert systems.training_data(CONFIG, "A") == [f"{PAIR}/data/train.jsonl"]
    assert systems.training_data(CONFIG, "B") == [
        f"{PAIR}/data/train.jsonl",
        f"{PAIR}/distillation/distilled.jsonl",
        f"{PAIR}/data/out_of_domain.jsonl",
    ]


def test_each_seed_has_a_folder():
    assert systems.runs(CONFIG | {"seed": 3}) == {"mine": 3}
    config = CONFIG | {"seed": [5, 0, 2]}
    assert systems.runs(config) == {"mine": 5, "mine/seed-0": 0, "mine/seed-2": 2}
    assert systems.run_config(config, "mine") == config
    later = systems.run_config(config, "mine/seed-2")
    assert later == config | {"experiment": "mine/seed-2", "seed": 2}


@pytest.mark.parametrize(
    ("path", "own_teacher", "given_teacher"),
    [
        ("data/segments.jsonl", "file", "file"),
        ("data/audio", "folder", "folder"),
        ("en-zh/data/test.jsonl", "file", "file"),
        ("en-de/evaluation/base/hypotheses.jsonl", "file", "file"),
        ("comet/comet22.json", "file", "file"),
        ("en-de/teacher", None, None),
        ("en-de/students/B/packed", None, None),
        ("en-de/evaluation/B/scores.json", None, None),
        ("en-de/evaluation/teacher/scores.json", None, "file"),
        ("en-de/evaluation/pruned-loss-01/scores.json", None, "file"),
        ("en-de/pruning/chrf/iter_01/layers.json", None, "file"),
        ("en-de/pruning/chrf/iter_01/model", None, "folder"),
        ("en-de/distillation/distilled.jsonl", None, "file"),
        ("en-de/sensitivities.json", None, "file"),
        ("scores.csv", None, None),
    ],
)
def test_what_seeds_share(path, own_teacher, given_teacher):
    for config, expected in ((CONFIG, own_teacher), (GIVEN, given_teacher)):
        files, folders = systems.shared_by_seeds(config)
        kinds = {"file": files, "folder": folders}
        fitting = [kind for kind, pattern in kinds.items() if re.fullmatch(pattern, path)]
        assert fitting == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("path", "system"),
    [
        ("teacher", "teacher"),
        ("students/B/packed", "B"),
        ("students/B/release", "B"),
        ("students/B/1-full/model", None),
        ("pruning/chrf/iter_01/model", "pruned-01"),
        ("pruning/chrf/iter_02/model", "pruned-chrf-02"),  # the config names it in no other way
        ("pruning/loss/iter_01/model", "pruned-loss-01"),
        ("data/audio", None),
    ],
)
def test_a_path_tells_its_system(path, system):
    assert systems.system_at(CONFIG, path) == system


def budgeted(**changes) -> dict:
    """CONFIG with a budget for B, and B_plain, the same without one."""
    b = CONFIG["students"]["B"]
    students = {"B": b | {"budget": "3.4 GB"} | changes, "B_plain": b}
    return CONFIG | {"students": students, "evaluation": {"systems": ["B"]}}


def test_a_budget_shares_trainings_if_its_layers_are_given():
    fixed, chosen = budgeted(), budgeted(layers_removed="auto")
    assert set(systems.stage_owners(fixed, "B_plain").values()) == {"B"}
    assert systems.removals(fixed, "B", "en-de") == [2]
    assert systems.layer_files(fixed, "B")[0] == f"{PAIR}/pruning/chrf/iter_02/layers.json"
    assert set(systems.stage_owners(chosen, "B_plain").values()) == {"B_plain"}
    iterations = chosen["pruning"]["iterations"]
    assert systems.removals(chosen, "B", "en-de") == list(range(iterations + 1))
    assert systems.layer_files(chosen, "B")[0] == f"{PAIR}/students/B/budget.json"
    assert systems.stage_models(chosen, "B")[0] == f"{PAIR}/students/B/pruned"
    assert systems.open_searches(chosen) == ["chrf"] and systems.open_searches(fixed) == []


def test_a_vocabulary_that_a_budget_chooses_is_shared_by_no_training():
    vocabulary = {"size": [640, 1024], "before": "training"}
    for size, owner in (([640, 1024], "B_plain"), (640, "B")):
        config = budgeted(vocabulary=vocabulary | {"size": size})
        config["students"]["B_plain"] = config["students"]["B"] | {"budget": None}
        assert systems.stage_owners(config, "B_plain")["1-full"] == owner


def test_the_choice_comes_before_the_trainings():
    outputs = [step.output for step in steps(budgeted(layers_removed="auto"), "B")]
    folder = f"{PAIR}/students/B"
    chain = [systems.SENSITIVITIES, f"{folder}/budget.json", f"{folder}/pruned"]
    start = outputs.index(chain[0])
    assert outputs[start : start + 3] == chain
    assert outputs[start - 1].endswith("layers.json")
    assert outputs.index(f"{folder}/1-full/model") > start


def test_a_recipe_says_what_its_budget_chose():
    recipe = {"layers_removed": "auto", "quantization": "nf4", "vocabulary": {"size": [1, 2]}}
    choice = {"layers_removed": 3, "quantization": {"head": "nf4"}, "vocabulary": 2, "bytes": 1}
    assert systems.chosen_recipe(recipe, choice) == {
        "layers_removed": 3,
        "quantization": {"head": "nf4"},
        "vocabulary": {"size": 2},
    }


def test_layers_are_listed_by_the_search_and_by_stages_that_prune():
    start = f"{PAIR}/pruning/iter_00/layers.json"
    assert systems.layer_files(CONFIG, "teacher") == (start, [])
    assert systems.layer_files(CONFIG, "A") == (start, [])
    assert systems.layer_files(CONFIG, "pruned-angular-02") == (
        f"{PAIR}/pruning/angular/iter_02/layers.json",
        [],
    )
    assert systems.layer_files(CONFIG, "B") == (
        f"{PAIR}/pruning/chrf/iter_02/layers.json",
        [("encoder", f"{PAIR}/students/B/2-prune/layers.json")],
    )


DATA = ["prepare_segments", "split_manifest"]
SCORING = ["translate_test", "score_hypotheses"]
SCORED = ["score_layers", "gather_scores", "select_layer"]
TRANSLATED = ["list_layers", "choose_segments", "encode_clips", *SCORED]


@pytest.mark.parametrize(
    ("config", "system", "rules"),
    [
        (CONFIG, "T", [*DATA, "score_talks"]),
        (CONFIG, "base", [*DATA, *SCORING]),
        (GIVEN, "teacher", [*DATA, *SCORING]),
        (CONFIG, "A", [*DATA, "train_teacher", "pack_student", *SCORING]),
        (
            CONFIG,
            "B",
            [
                *DATA,
                "train_teacher",
                *TRANSLATED,
                *TRANSLATED,
                "materialize_pruned",
                "train_student",
                "choose_segments",
                "prune_stage",
                "translate_train",
                "filter_pseudo_labels",
                "prepare_out_of_domain",
                "train_adapter",
                "merge_adapter",
                "pack_student",
                *SCORING,
            ],
        ),
        (
            GIVEN,
            "pruned-shortlist-01",
            [
                *DATA,
                *TRANSLATED[:3],
                "propose_layers",
                *SCORED,
                "materialize_pruned",
                *SCORING,
            ],
        ),
        (
            GIVEN,
            "pruned-comet-01",
            [
                *DATA,
                *TRANSLATED[:5],
                "fetch_comet",
                "score_layers_by_comet",
                "select_layer",
                "materialize_pruned",
                *SCORING,
            ],
        ),
        (
            GIVEN,
            "pruned-loss-01",
            [*DATA, *TRANSLATED[:2], *SCORED, "materialize_pruned", *SCORING],
        ),
        (
            GIVEN,
            "pruned-listed-01",
            [*DATA, "list_layers", "select_layer_by_place", "materialize_pruned", *SCORING],
        ),
    ],
)
def test_the_steps_to_a_system_are_its_rules_in_order(config, system, rules):
    """tests/workflow/test_dag.py holds the outputs and logs of the steps to the rules."""
    assert [rule for step in steps(config, system) for rule in step.logs] == rules
