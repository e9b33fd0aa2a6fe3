"""What is wrong with a config is found before anything runs, and named by its key and its fix."""

import pytest
from configs import REPOSITORY, change, fill, make_base, read_config

import config_checks
import training_checks

FILLED = fill(read_config())
TRAINING = FILLED["teacher"]["training"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    make_base(folder)
    (folder / "texts").mkdir()
    return folder


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ("experiment", "mini_base", "experiment", "results/mini_base is taken"),
        ("pairs", ["en-en"], "pairs", "en-en translates a language into itself"),
        ("pairs", ["en-de", "zh-en"], "pairs", "en, zh"),
        ("evaluation/systems", ["base", "C"], "evaluation.systems", "there is no C; choose"),
        ("evaluation/systems", ["pruned-04"], "evaluation.systems", "there is no pruned-04"),
        ("evaluation/systems", ["pruned-x"], "evaluation.systems", "there is no pruned-x"),
        (
            "evaluation/systems",
            ["pruned-taylor-01", "pruned-loss-04", "pruned-loss-03"],
            "evaluation.systems",
            "there is no pruned-taylor-01, pruned-loss-04; choose among base, teacher, pruned-01",
        ),
        (
            "prompt/user",
            'As {"text": ...}, in {target}',
            "prompt.user",
            '{"text": ...} is no pla',
        ),
        ("prompt/user", "{sorce} into {target}", "prompt.user", "{sorce} is no placeholder, only"),
        ("prompt/user", "{} into {target}", "prompt.user", "{} is no placeholder"),
        ("prompt/user", "{target!r}", "prompt.user", "{target!r} is no placeholder"),
        ("prompt/user", "{target:>9}", "prompt.user", "{target:>9} is no placeholder"),
        ("prompt/user", "{target.real}", "prompt.user", "{target.real} is no placeholder"),
        (
            "prompt/user",
            "into {target}}",
            "prompt.user",
            "write a brace that the model should",
        ),
        ("prompt/user", "{ into {target}", "prompt.user", "is no placeholder"),
        ("prompt/user", "into {{target}}", "prompt.user", "write {target} for the language"),
        ("prompt/user", "<|AUDIO|>To {target}", "prompt.user", "<|AUDIO|> stands for the audio"),
        ("prompt/user", "To {target}<|audio_bos|>", "prompt.user", "stands for the audio"),
        ("prompt/user", "[AUDIO]To {target}", "prompt.user", "[AUDIO] stands for the audio"),
        ("prompt/system", "<audio|>", "prompt.system", "<audio|> stands for the audio"),
        ("evaluation/contrasts", [["C", "A"]], "evaluation.contrasts", "C is not in"),
        ("evaluation/texts", {"A": "texts"}, "evaluation.texts", "A is a student's name"),
        (
            "submission/primary",
            "C",
            "submission.primary",
            "no student C; name one of quantised, A, B",
        ),
        (
            "submission/tests",
            {"TV": {"folder": "texts", "pairs": ["en-ja"]}},
            "submission.tests.TV.pairs",
            "en-ja is not in pairs",
        ),
        (
            "submission/tests",
            {"TV": {"folder": "tests/{pair}", "pairs": ["en-zh"]}},
            "submission.tests.TV.folder",
            "there is no 'tests/en-zh'",
        ),
        ("pruning/sets", {"loss": {}}, "pruning.sets.loss", "the name of a criterion"),
        ("pruning/criterion", "comet", "pruning.comet", "needs a metric of evaluation.comet"),
        ("pruning/comet", "xcomet", "pruning.comet", "(none yet) and xcomet is not one"),
        ("pruning/criterion", "taylor", "pruning.criterion", "'taylor'; choose among chrf, "),
        ("students/B/criterion", "taylor", "students.B.criterion", "'taylor'; choose among chrf"),
        ("base/model", "resources/none", "base.model", "there is no directory 'resources/none'"),
        ("base/model", "results/models/mine", "base.hub", "results/models is for models of the"),
        ("teacher/model", "none", "teacher.model", "there is no directory 'none'"),
        ("data/archive", "acl.zip", "data.archive", "there is no 'acl.zip'"),
        ("data/archive", "a" * 300, "data.archive", "there is no 'aaa"),
        ("base/model", "a" * 300, "base.model", "there is no directory 'aaa"),
        ("data/archive", "results/corpora/acl6060-hub", "data.hub", "name the revision"),
        ("data/out_of_domain/folder", "cv", "data.out_of_domain.folder", "there is no 'cv'"),
        (
            "students/B/vocabulary",
            {"size": 512, "texts": ["{pair}.txt"], "scripts": [], "before": "packing"},
            "students.B.vocabulary.texts",
            "there is no file 'en-de.txt'",
        ),
        ("evaluation/texts", {"x": "none/{pair}"}, "evaluation.texts.x", "folder 'none/en-de'"),
        ("data/split/test_talks", [], "data.split.test_talks", "needs a talk to test on"),
        ("data/split/validation_talks", [], "pruning.split", "translates validation data"),
        ("data/split/validation_talks", [], "teacher.training.keep", "no validation data"),
        ("pruning/iterations", 11, "pruning.iterations", "11 of the 12 layers of resources/mini"),
        ("pruning/protect_last", 9, "pruning.iterations", "lower it to 2 or less"),
        ("students/B_repaired/merge", "keep", "students.B_repaired.merge", "leave merge out"),
        ("students/B/layers_removed", 4, "students.B.layers_removed", "4 is more than pruning"),
        (
            "students/B/layers_removed",
            "auto",
            "students.B.layers_removed",
            "a student with a budget",
        ),
        (
            "students/B/vocabulary",
            {"size": [512, 640], "texts": [], "scripts": [], "before": "packing"},
            "students.B.vocabulary.size",
            "a list is for a student with a budget",
        ),
        ("students/A/stages/0/data", {"gold": 0}, "students.A.stages.0.data", "all factors are 0"),
        (
            "students/A/stages/0/data",
            {"gold": 0, "out_of_domain_clips": 5},  # that is no part of the data
            "students.A.stages.0.data",
            "all factors are 0",
        ),
        (
            "students/A/stages/0/training/precision",
            "bf16_stochastic",
            "students.A.stages.0.training.precision",
            "bf16_stochastic is for full stages",
        ),
        (
            "students/A/stages/0/training/shard",
            True,
            "students.A.stages.0.training.shard",
            "4-bit weights are not shared",
        ),
        ("teacher/training/shard", True, "teacher.training.shard", "raise gpus"),
        (
            "teacher/training",
            TRAINING | {"shard": True, "gpus": 2, "keep": "best"},
            "teacher.training.keep",
            "best is not supported with shard",
        ),
        (
            "teacher/training",
            TRAINING | {"shard": True, "gpus": 2, "precision": "bf16_stochastic"},
            "teacher.training.precision",
            "not tried with shard",
        ),
        (
            "teacher/training",
            TRAINING | {"gpus": 8, "batch_size": 2, "gradient_accumulation": 2},
            "teacher.training.gpus",
            "8 GPUs share the 4 clips",
        ),
        (
            "teacher/training",
            TRAINING | {"gpus": 4, "nodes": 3},
            "teacher.training.nodes",
            "4 GPUs are not spread evenly over 3 nodes",
        ),
        (
            "evaluation/comet",
            {"comet": {"model": "my/comet.ckpt"}},
            "evaluation.comet.comet.model",
            "there is no 'my/comet.ckpt'; give the path of a .ckpt",
        ),
        (
            "evaluation/comet",
            {"comet": {"model": "xcomet"}},
            "evaluation.comet.comet.model",
            "there is no 'xcomet'",
        ),
        ("release/license", "other", "release.license", "release.license_name"),
        ("release/license_name", "mine", "release.license_name", "release.license: other"),
    ],
)
def test_what_the_schema_cannot_say_is_named_with_its_key(root, path, value, key, words):
    config = change(FILLED, path, value)
    [problem, *_] = [p for p in config_checks.problems(config, root) if p.startswith(key)]
    assert words in problem


def test_out_of_domain_must_be_configured(root):
    data = {key: value for key, value in FILLED["data"].items() if key != "out_of_domain"}
    problems = config_checks.problems(FILLED | {"data": data}, root)
    [problem] = problems
    assert problem.startswith("students.B_out_of_domain.stages.1.data: ")
    assert "out_of_domain is not configured" in problem


def test_no_adapter_is_kept_beside_weights_that_are_not_four_bit(root):
    config = change(change(FILLED, "students/A/merge", "keep"), "students/A/quantization", "none")
    [problem] = config_checks.problems(config, root)
    assert problem.startswith("students.A.merge: ") and "4-bit" in problem


def test_a_set_must_list_as_many_layers_as_are_removed(root):
    config = change(FILLED, "pruning/sets", {"mine": {"en-de": [2, 3, 4], "en-zh": [2]}})
    config = change(config, "students/B/criterion", "mine")
    [problem] = config_checks.problems(config, root)
    assert problem.startswith("students.B.criterion: the set mine lists 1 layers for en-zh")


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("serving/forms", ["bf16"], "serving.forms"),
        ("distillation/engine", "vllm", "distillation.engine"),
    ],
)
def test_engines_need_the_chat_template(root, path, value, key):
    config = change(change(FILLED, "prompt/template", "plain"), path, value)
    [problem] = config_checks.problems(config, root)
    assert problem.startswith(f"{key}: ") and "prompt.template: plain" in problem
    assert config_checks.problems(change(config, "prompt/template", "chat"), root) == []


def test_every_problem_is_listed(root):
    config = change(change(FILLED, "pairs", ["de-de"]), "base/model", "none")
    keys = [problem.split(":")[0] for problem in config_checks.problems(config, root)]
    assert keys == ["pairs", "base.model"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("prompt/user", 'Answer as {{"text": "..."}} in {target}, <not audio> [audio].'),
        ("evaluation/texts", {"cascade": "texts"}),
        ("evaluation/systems", ["base", "pruned-01", "pruned-block_influence-03", "B"]),
        ("teacher/model", "results/mini/{pair}/teacher"),
        ("evaluation/comet", {"comet": {"model": "Unbabel/wmt22-comet-da"}}),
        ("base/model", "resources/mini"),  # holds no config.json, which the first job reports
    ],
)
def test_what_is_right_passes(root, path, value):
    assert config_checks.problems(change(FILLED, path, value), root) == []


def test_a_budget_needs_something_to_choose_and_clips_to_measure_on():
    config = change(FILLED, "students/B/budget", "2.5 MB")
    assert not [p for p in config_checks.problems(config, REPOSITORY) if "students.B" in p]
    [problem] = _problems(change(config, "students/B/quantization", "none"), "students.B.budget")
    assert "nothing to choose" in problem
    [problem] = _problems(change(config, "students/B/merge", "keep"), "students.B.budget")
    assert "is not counted" in problem
    searched = change(config, "students/B/layers_removed", "auto")
    assert not _problems(searched, "students.B")
    [problem] = _problems(change(searched, "pruning/iterations", 0), "students.B.layers_removed")
    assert "pruning.iterations is 0" in problem
    unsplit = change(change(config, "data/split/validation_talks", []), "pruning/iterations", 0)
    assert "sensitivities are measured on" in _problems(unsplit, "pruning.split")[0]


def _problems(config, key):
    return [p for p in config_checks.problems(config, REPOSITORY) if p.startswith(key)]


@pytest.mark.parametrize(
    ("limit", "local", "listed", "offered"),
    [(2, True, 8, 2), (None, True, 1, 1), (None, True, 0, None), (None, False, 1, None)],
)
def test_a_training_gets_no_more_gpus_than_the_run_has(monkeypatch, limit, local, listed, offered):
    """Without a limit those of this machine; where there is none, the processes share its CPU."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(training_checks, "installed", lambda: [f"GPU-{n}" for n in range(listed)])
    config = change(FILLED, "students/A/stages/0/training/gpus", 4)
    problems = list(training_checks.gpu_problems(config, limit, local))
    if offered is None:
        assert problems == []
    else:
        [problem] = problems
        assert problem.startswith("students.A.stages.0.training.gpus: 4 GPUs and this run has")
        assert f"has {offered};" in problem


@pytest.mark.parametrize("local", [True, False])
def test_several_nodes_are_of_a_cluster(local):
    config = change(FILLED, "teacher/training", FILLED["teacher"]["training"] | {"nodes": 2})
    problems = list(training_checks.gpu_problems(config, None, local))
    if local:
        [problem] = problems
        assert problem.startswith("teacher.training.nodes: 2 nodes are of SLURM")
    else:
        assert problems == []
