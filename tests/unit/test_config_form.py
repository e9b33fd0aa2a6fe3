"""The form of a config: what does not fit the schema, keys that are no text, and secrets."""

import pytest
import yaml
from configs import REPOSITORY, SCHEMA, change, read_config
from jsonschema import Draft202012Validator, ValidationError

import config_form

CONFIG = read_config()
VALIDATOR = Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


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
        (
            "teacher/training/learning_rate",
            "5e-4",
            "teacher.training.learning_rate",
            "write it with a point, such as 5.0e-4",
        ),
        ("teacher/training/precision", "fp16", "teacher.training.precision", "'fp16' is not one"),
        ("students/A/stages/0/data/glod", 1, "students.A.stages.0.data", "unknown key glod"),
        ("students/A/stages/0/method", "lora", "students.A.stages.0.method", "'lora' is not one"),
        ("evaluation/metrics", ["meteor"], "evaluation.metrics.0", "'meteor' is not one of"),
        ("evaluation/comet", {"comet": {}}, "evaluation.comet.comet", "'model' is a required"),
        ("evaluation/comet", {"bytes": {"model": "a/b"}}, "evaluation.comet", "'bytes' does not"),
        ("evaluation/cost", {"repeats": -1}, "evaluation.cost.repeats", "less than the minimum"),
        ("evaluation/checks", {"length_ratio": 1}, "evaluation.checks.length_ratio", "1 is less"),
        (
            "submission",
            {"tests": {"TV": {"folder": "a", "transcript": "b"}}},
            "submission.tests.TV",
            "'references' is a dependency of 'transcript'",
        ),
        ("submission", {"team": "my team"}, "submission.team", "'my team' does not match"),
        ("release/license", "Apache 2.0", "release.license", "'Apache 2.0' does not match"),
        ("experiment", 2025, "experiment", "write it in quotes"),
        ("students/1", {"stages": []}, "students", "'1' does not match"),
        ("experiment", "x" * 101, "experiment", "is too long"),
        ("experiment", "ä" * 5000, "experiment", "äää … äää"),
        (
            "experiment",
            "mini\n",
            "experiment",
            "does not match '^[A-Za-z0-9][A-Za-z0-9_-]*$'",
        ),  # of a block in YAML
        ("pairs", ["en-de\n"], "pairs.0", "does not match"),
        ("seed", 2**32, "seed", "greater than the maximum"),
        ("seed", [0, 1, 1], "seed", "non-unique"),
        ("seed", [0, -1], "seed.1", "less than the minimum"),
        (f"students/{'x' * 101}", {"stages": []}, "students", "is too long"),
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
    problem = config_form.schema_problem(error.value)
    assert problem.startswith(f"{key}: ")
    assert words in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        ("languages: {no: Norwegian}", "languages", "false"),
        ("students: {A: {stages: []}, on: {stages: []}}", "students", "true"),
        ("students: {1: {stages: []}}", "students", "1"),
        ("pruning: {sets: {1.5: {}}}", "pruning.sets", "1.5"),
        ("evaluation: {texts: {2025-07-31: texts}}", "evaluation.texts", '"2025-07-31"'),
        (
            "students: {A: {stages: [{method: full, data: {~: 1}}]}}",
            "students.A.stages.0.data",
            "null",
        ),
        ("yes: 1", "top level", "true"),
    ],
)
def test_a_key_that_is_no_text_is_named_with_the_fix(text, place, key):
    problem = config_form.key_problem(yaml.safe_load(text))
    assert problem.startswith(f"{place}: YAML reads a key here as {key} and not as text")
    assert 'write it in quotes, such as "no"' in problem


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("teacher: {training: {learning_rate: .nan}}", "teacher.training.learning_rate", "nan"),
        ("data: {max_seconds: .inf}", "data.max_seconds", "inf"),
        (
            "students: {A: {stages: [{training: {epochs: -.inf}}]}}",
            "students.A.stages.0.training.epochs",
            "-inf",
        ),
        ("evaluation: {cost: {batch_sizes: [1, .nan]}}", "evaluation.cost.batch_sizes", "[1, nan]"),
    ],
)
def test_a_number_that_is_not_finite_is_named(text, place, value):
    problem = config_form.problem(yaml.safe_load(text))
    assert problem.startswith(f"{place}: {value} is not a finite number")


def test_keys_in_quotes_are_text():
    config = yaml.safe_load('{"no": Norwegian, "1": [{"on": "2025-07-31"}, 3, null]}')
    assert config_form.problem(config) is None


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3", ["a stands in line 1 and again in line 3"]),
        (
            "students:\n  A: {x: 1}\n  B: {x: 1, x: 2}\n  A: {}\n",
            ["students.A stands in line 2 and again in line 4", "students.B.x stands in line 3"],
        ),
        ('{"a": 1,\n "a": 2}', ["a stands in line 1 and again in line 2"]),
        ("- {a: 1}\n- {a: 1}", []),
        ("x: &x {a: 1}\ny: {<<: *x, a: 2}\nz: &z [*x, *x]", []),
        ("\ufeffa: 1\na: 2", ["a stands in line 1"]),
        ("a: [", []),  # Snakemake says what is wrong
    ],
)
def test_a_key_that_stands_twice_is_named_with_its_lines(tmp_path, text, problems):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    actual = config_form.repeated_keys(tmp_path / "config.yaml")
    assert len(actual) == len(problems)
    for problem, expected in zip(actual, problems, strict=True):
        assert problem.startswith(f"{tmp_path / 'config.yaml'}: {expected}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: Gr\xfc\xdfe\n", "config.yaml, line 2: not UTF-8; save"),
        ("a: ä".encode("utf-16"), "config.yaml, line 1: not UTF-8"),
        (b"a: 1\nb: 2\n\tc: 3\n", "config.yaml, line 3: not valid YAML (found character '\\t'"),
        (b"a: {b: 1\n", "config.yaml, line 2: not valid YAML"),
        (b"a: \x07\n", "config.yaml: not valid YAML"),
        (b"a: 1\nb: {{ base }}\n", "config.yaml, line 2: not valid YAML (found unhashable key)"),
        (b"a: 1\nb: !mine c\n", "config.yaml, line 2: not valid YAML"),
        (b"a: 2025-13-45\n", "config.yaml: not valid YAML (month must be"),
        (b"a: " + b"[" * 5000, "config.yaml: not valid YAML"),
        (b"a: &a [1, *a]\n", "config.yaml: not valid YAML (Circular reference"),
        (b"", "config.yaml: holds no keys"),
        (b"- a\n", "config.yaml: holds no keys"),
        (None, "config.yaml: cannot be read (Is a directory)"),
    ],
)
def test_a_file_that_is_no_config_is_named_with_its_line(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    problem = config_form.file_problem(path)
    assert message in problem and "\n" not in problem


@pytest.mark.parametrize("text", ["a: 1", '{"a": 1}', "\ufeffa: 1", "a: &x [1]\nb: *x"])
def test_a_file_that_can_be_read(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert config_form.file_problem(tmp_path / "config.yaml") is None


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda p: p.name
)
def test_no_key_of_the_projects_own_configs_stands_twice(path):
    assert config_form.repeated_keys(path) == []


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
    problem = config_form.secret_problem(change(CONFIG, path, value))
    assert problem.startswith(f"{place}: holds a password or a token")
    assert "canary" not in problem


def test_a_secret_may_be_a_key_of_the_top_level():
    problem = config_form.secret_problem({"https://canary:x@h": {}})
    assert problem.startswith("top level: ") and "canary" not in problem


def test_a_config_without_secrets_has_no_problem():
    assert config_form.secret_problem(read_config("config/iwslt2025.yaml")) is None
