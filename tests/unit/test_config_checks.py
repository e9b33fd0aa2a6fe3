"""What is wrong with a config is found before anything runs, and named by its key and its fix."""

import pytest
import yaml
from configs import SCHEMA, change, fill, make_base, read_config
from jsonschema import Draft202012Validator, ValidationError

import config_checks

CONFIG = read_config()
FILLED = fill(CONFIG)
VALIDATOR = Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    make_base(folder)
    (folder / "texts").mkdir()
    return folder


@pytest.mark.parametrize(
    ("path", "value", "key", "words"),
    [
        ("evalution", {}, "top level", "unknown key evalution; the keys here are experiment, "),
        (
            "teacher/training/lerning_rate",
            1e-4,
            "teacher.training",
            "unknown key lerning_rate; the keys here are epochs, learning_rate",
        ),
        ("teacher/training/learning_rate", "5e-4", "teacher.training.learning_rate", "'5e-4'"),
        ("teacher/training/precision", "fp16", "teacher.training.precision", "'fp16' is not one"),
        ("students/A/stages/0/data/glod", 1, "students.A.stages.0.data", "unknown key glod"),
        ("students/A/stages/0/method", "lora", "students.A.stages.0.method", "'lora' is not one"),
        ("evaluation/metrics", ["meteor"], "evaluation.metrics.0", "'meteor' is not one of"),
        ("evaluation/comet", {"comet": {}}, "evaluation.comet.comet", "'model' is a required"),
        ("evaluation/comet", {"bytes": {"model": "a/b"}}, "evaluation.comet", "'bytes' does not"),
        ("evaluation/cost", {"repeats": -1}, "evaluation.cost.repeats", "less than the minimum"),
        ("evaluation/checks", {"length_ratio": 1}, "evaluation.checks.length_ratio", "1 is less"),
        ("release/license", "Apache 2.0", "release.license", "'Apache 2.0' does not match"),
        ("experiment", "../x", "experiment", "'../x' does not match"),
        ("pairs", ["ende"], "pairs.0", "'ende' does not match"),
        ("data/hub", {"revision": "main"}, "data.hub.revision", "'main' does not match"),
        ("data/corpus", {"name": "Tales"}, "data.corpus", "'licence' is a required property"),
        ("data", {"split": {}}, "data", "'archive' is a required property"),
        ("pruning/shards", 0, "pruning.shards", "0 is less than the minimum of 1"),
        ("pruning/shortlist", {"size": 0}, "pruning.shortlist.size", "less than the minimum"),
        ("pruning/shortlist", {"by": "angular"}, "pruning.shortlist.by", "'angular' is not one"),
    ],
)
def test_what_does_not_fit_the_schema_is_one_sentence(path, value, key, words):
    with pytest.raises(ValidationError) as error:
        VALIDATOR.validate(change(CONFIG, path, value))
    problem = config_checks.schema_problem(error.value)
    assert problem.startswith(f"{key}: ")
    assert words in problem
    assert "\n" not in problem


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
        ("evaluation/texts", {"A": "texts"}, "evaluation.texts", "A is a student's name"),
        ("pruning/sets", {"loss": {}}, "pruning.sets.loss", "the name of a criterion"),
        ("pruning/criterion", "comet", "pruning.comet", "needs a metric of evaluation.comet"),
        ("pruning/comet", "xcomet", "pruning.comet", "(none yet) and xcomet is not one"),
        ("pruning/criterion", "taylor", "pruning.criterion", "'taylor'; choose among chrf, "),
        ("students/B/criterion", "taylor", "students.B.criterion", "'taylor'; choose among chrf"),
        ("base/model", "resources/none", "base.model", "there is no directory 'resources/none'"),
        ("base/model", "results/models/mine", "base.hub", "results/models is for models of the"),
        ("teacher/model", "none", "teacher.model", "there is no directory 'none'"),
        ("data/archive", "acl.zip", "data.archive", "there is no 'acl.zip'"),
        ("data/archive", "results/corpora/acl6060-hub", "data.hub", "name the revision"),
        ("data/out_of_domain/folder", "cv", "data.out_of_domain.folder", "there is no 'cv'"),
        ("evaluation/texts", {"x": "none/{pair}"}, "evaluation.texts.x", "folder 'none/en-de'"),
        ("data/split/test_talks", [], "data.split.test_talks", "needs a talk to test on"),
        ("data/split/validation_talks", [], "pruning.split", "translates validation data"),
        ("pruning/iterations", 11, "pruning.iterations", "11 of the 12 layers of resources/mini"),
        ("pruning/protect_last", 9, "pruning.iterations", "lower it to 2 or less"),
        ("students/B/layers_removed", 4, "students.B.layers_removed", "4 is more than pruning"),
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
    [problem] = config_checks.problems(FILLED | {"data": data}, root)
    assert problem.startswith("students.B.stages.1.data: out_of_domain is not configured")


def test_a_set_must_list_as_many_layers_as_are_removed(root):
    config = change(FILLED, "pruning/sets", {"mine": {"en-de": [2, 3, 4], "en-zh": [2]}})
    config = change(config, "students/B/criterion", "mine")
    [problem] = config_checks.problems(config, root)
    assert problem.startswith("students.B.criterion: the set mine lists 1 layers for en-zh")


def test_every_problem_is_listed(root):
    config = change(change(FILLED, "pairs", ["de-de"]), "base/model", "none")
    keys = [problem.split(":")[0] for problem in config_checks.problems(config, root)]
    assert keys == ["pairs", "base.model"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("evaluation/texts", {"cascade": "texts"}),
        ("evaluation/systems", ["base", "pruned-01", "pruned-block_influence-03", "B"]),
        ("teacher/model", "results/mini/{pair}/teacher"),
        ("evaluation/comet", {"comet": {"model": "Unbabel/wmt22-comet-da"}}),
        ("base/model", "resources/mini"),  # holds no config.json, which the first job reports
    ],
)
def test_what_is_right_passes(root, path, value):
    assert config_checks.problems(change(FILLED, path, value), root) == []


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("data/archive", "https://me:canary@host/acl.zip", "data.archive"),
        ("data/hub", {"repository": "https://canary@host/x"}, "data.hub.repository"),
        ("base/hub", {"repository": "hf_canary" + "x" * 30}, "base.hub.repository"),
        ("evaluation/comet", {"https://canary:x@h": {}}, "evaluation.comet"),
        ("students/A/stages/0/method", "ftp://canary:@host", "students.A.stages.0.method"),
    ],
)
def test_a_secret_is_named_by_its_key_alone(path, value, place):
    """The config need not fit the schema, whose messages would repeat the value."""
    problem = config_checks.secret_problem(change(CONFIG, path, value))
    assert problem.startswith(f"{place}: holds a password or a token")
    assert "canary" not in problem


def test_a_secret_may_be_a_key_of_the_top_level():
    problem = config_checks.secret_problem({"https://canary:x@h": {}})
    assert problem.startswith("top level: ") and "canary" not in problem


def test_a_config_without_secrets_has_no_problem():
    assert config_checks.secret_problem(read_config("config/iwslt2025.yaml")) is None
