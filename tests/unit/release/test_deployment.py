"""How a model directory is used: its pair, prompt and limits, and where they come from."""

import json
from pathlib import Path

import pytest
import yaml
from project import REPOSITORY

from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt
from slimspeech.release import deployment
from slimspeech.release.deployment import Deployment, read_deployment

ROOT = REPOSITORY
CONFIG = {
    "experiment": "mine",
    "pairs": ["en-de", "en-tlh"],
    "prompt": {"system": "Be brief.", "user": "Into {target}:", "template": "plain"},
    "languages": {"tlh": "Klingon"},
    "generation": {"max_new_tokens": 64},
    "base": {"model": "resources/mini/base"},
    "pruning": {"criterion": "chrf"},
    "students": {
        "A": {"layers_removed": 0, "criterion": None, "stages": []},
        "B": {"layers_removed": 2, "criterion": None, "stages": []},
        "C": {
            "layers_removed": 2,
            "criterion": "loss",
            "stages": [
                {"method": "qlora"},
                {"method": "prune", "part": "decoder"},
                {"method": "prune", "part": "encoder"},
            ],
        },
    },
    "evaluation": {"systems": ["base", "teacher", "pruned-02", "A"]},
}


def write(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def make_model(directory: Path) -> Path:
    write(directory / "config.json", {"model_type": "qwen2_audio"})
    (directory / "model.safetensors").touch()
    return directory


@pytest.fixture
def results(tmp_path) -> Path:
    write(tmp_path / "results" / "mine" / "config.json", CONFIG)
    return tmp_path / "results" / "mine"


def facts(**changes):
    complete = {
        "format": 1,
        "pair": "en-de",
        "prompt": {"system": "S", "user": "{source} to {target}", "template": "chat"},
        "languages": {},
        "generation": {"max_new_tokens": 9},
        "system": "B",
    }
    return {key: value for key, value in {**complete, **changes}.items() if value is not None}


def test_a_release_has_its_own(tmp_path, results):
    model = make_model(results / "en-tlh" / "students" / "A" / "release")
    write(model / "slimspeech.json", facts())
    deployment = read_deployment(model)
    assert (deployment.pair, deployment.max_new_tokens, deployment.name) == ("en-de", 9, "B")
    assert deployment.prompt == Prompt("S", "{source} to {target}", {}, "chat")


@pytest.mark.parametrize("path", ["teacher", "students/A/packed", "students/A/1-qlora/model"])
def test_other_models_take_them_from_the_results(path, results):
    deployment = read_deployment(make_model(results / "en-tlh" / path))
    assert (deployment.pair, deployment.max_new_tokens) == ("en-tlh", 64)
    assert deployment.prompt.request("en-tlh") == "Into Klingon:"
    assert deployment.prompt.template == "plain"


@pytest.mark.parametrize(
    ("path", "system"),
    [
        ("teacher", "teacher"),
        ("students/A/packed", "A"),
        ("students/A/release", "A"),
        ("students/A/1-qlora/model", None),
        ("pruning/chrf/iter_02/model", "pruned-02"),
        ("pruning/chrf/iter_01/model", "pruned-chrf-01"),
        ("pruning/loss/iter_02/model", "pruned-loss-02"),
    ],
)
def test_the_path_in_the_results_gives_the_system(path, system, results):
    model = make_model(results / "en-de" / path)
    assert read_deployment(model).facts["system"] == system
    assert read_deployment(model).name == (system or "model")


def test_a_link_into_the_results_is_followed(results, tmp_path):
    make_model(results / "en-de" / "teacher")
    (tmp_path / "mine").symlink_to(results / "en-de" / "teacher")
    assert read_deployment(tmp_path / "mine").pair == "en-de"


def test_existing_measurements_are_read(results):
    model = make_model(results / "en-de" / "students" / "B" / "packed")
    model_facts = read_deployment(model).facts
    assert [model_facts[key] for key in ("scores", "size", "layers")] == [{}, None, None]
    compared = dict.fromkeys(["score", "low", "high", "retention", "p_value"], 50.0)
    write(
        results / "en-de" / "evaluation" / "comparison.json",
        {"systems": {"B": {"chrf": compared}, "teacher": {"chrf": compared}, "A": {}}},
    )
    write(results / "en-de" / "evaluation" / "B" / "size.json", {"weights": 3})
    write(
        results / "en-de" / "pruning" / "chrf" / "iter_02" / "layers.json",
        {"kept": [0, 3], "removed": [2, 1], "metric": "chrf"},
    )
    model_facts = read_deployment(model).facts
    assert list(model_facts["scores"]) == ["B", "teacher"]
    assert model_facts["scores"]["B"]["chrf"]["score"] == 50
    assert model_facts["size"] == {"weights": 3}
    assert model_facts["layers"] == {"kept": [0, 3], "removed": [2, 1], "encoder": None}
    assert model_facts["recipe"] == CONFIG["students"]["B"] | {"criterion": "chrf"}


def test_layers_of_a_pruning_stage_are_numbered_in_the_teacher(results):
    student = results / "en-de" / "students" / "C"
    write(
        results / "en-de" / "pruning" / "loss" / "iter_02" / "layers.json",
        {"kept": [0, 2, 4, 5], "removed": [3, 1]},
    )
    write(student / "2-prune" / "layers.json", {"kept": [0, 1, 3], "removed": [2]})
    write(student / "3-prune" / "layers.json", {"kept": [0], "removed": [1]})  # the encoder's
    model_facts = read_deployment(make_model(student / "packed")).facts
    encoder = {"kept": [0], "removed": [1]}
    assert model_facts["layers"] == {"kept": [0, 2, 5], "removed": [3, 1, 4], "encoder": encoder}


def test_outside_of_results_the_prompt_is_that_of_the_paper(tmp_path):
    model = read_deployment(make_model(tmp_path / "model"))
    assert (model.pair, model.max_new_tokens, model.facts) == (None, 256, {})
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    prompt = schema["properties"]["prompt"]
    assert prompt["default"] == deployment.DEFAULT_PROMPT
    assert model.prompt.template == prompt["properties"]["template"]["default"]
    generation = schema["properties"]["generation"]["properties"]
    assert model.max_new_tokens == generation["max_new_tokens"]["default"]


def test_a_students_folder_stands_for_its_release_or_else_its_packed_model(results):
    student = results / "en-de" / "students" / "A"
    packed = make_model(student / "packed")
    assert read_deployment(student).directory == packed
    release = make_model(student / "release")
    write(release / "slimspeech.json", facts())
    assert read_deployment(student).directory == release


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (facts(format=2), "its format is 2, and this version reads 1"),
        (facts(pair=None), "its pair is None"),
        (facts(pair="german"), "its pair is 'german' and not such as en-de"),
        (facts(pair=["en", "de"]), "its pair is"),
        (facts(prompt={"system": "S"}), "its prompt is not whole"),
        (facts(prompt="Translate"), "its prompt is not whole"),
        (facts(prompt={"system": "S", "user": "U", "file": "x"}), ".*or has other keys than"),
        (facts(prompt={"system": "S", "user": ["U"]}), "its prompt is not text"),
        (facts(languages=["Klingon"]), "its languages are not names"),
        (facts(languages={"tlh": 3}), "its languages are not names"),
        (facts(generation=9), "its generation has no max_new_tokens"),
        (facts(generation={"max_new_tokens": "9"}), "its max_new_tokens is '9'"),
        (facts(generation={"max_new_tokens": 0}), "its max_new_tokens is 0"),
        ([], "its format is None"),
    ],
)
def test_facts_of_another_format(content, message, tmp_path):
    model = make_model(tmp_path / "model")
    write(model / "slimspeech.json", content)
    with pytest.raises(InputError, match=f"slimspeech.json: {message}"):
        read_deployment(model)


def test_a_prompt_without_a_system_message(tmp_path):
    model = make_model(tmp_path / "model")
    write(model / "slimspeech.json", facts(prompt={"system": None, "user": "Into {target}:"}))
    assert read_deployment(model).prompt == Prompt(None, "Into {target}:", {}, "chat")


@pytest.mark.parametrize("missing", ["languages", "generation", "base", "students", "prompt"])
def test_an_experiment_of_another_version(missing, tmp_path):
    config = {key: value for key, value in CONFIG.items() if key != missing}
    write(tmp_path / "mine" / "config.json", config)
    model = make_model(tmp_path / "mine" / "en-de" / "students" / "A" / "packed")
    if missing == "prompt":  # that is no experiment
        assert read_deployment(model).pair is None
        return
    with pytest.raises(InputError, match="mine: .* of another version"):
        read_deployment(model)


@pytest.mark.parametrize("content", [3, [{"experiment": 1}], {"pairs": 3}, "experiment", None])
def test_a_config_of_something_else_above_the_model(content, tmp_path):
    write(tmp_path / "config.json", content)
    assert read_deployment(make_model(tmp_path / "en-de" / "model")).facts == {}


def test_no_model(tmp_path):
    with pytest.raises(InputError, match="nowhere: no such directory"):
        read_deployment(tmp_path / "nowhere")
    write(tmp_path / "config.json", {})
    with pytest.raises(InputError, match="no model there"):
        read_deployment(tmp_path)


def made_for(pair):
    prompt = Prompt("", "{source} {target}", {"tlh": "Klingon"})
    return Deployment(Path("student"), pair, prompt, 64)


@pytest.mark.parametrize(
    ("pair", "target", "source", "expected"),
    [
        ("en-de", None, None, "en-de"),
        ("en-de", "de", "en", "en-de"),
        ("en-de", "German", "ENGLISH", "en-de"),
        (None, "zh", None, "en-zh"),
        (None, "en", "fr", "fr-en"),
        (None, "klingon", None, "en-tlh"),
    ],
)
def test_languages(pair, target, source, expected):
    assert made_for(pair).pair_for(target, source) == expected


@pytest.mark.parametrize(
    ("pair", "target", "source", "message"),
    [
        ("en-de", "zh", None, "student: made for en-de, not for zh"),
        ("en-de", "de", "fr", "student: made for en-de, not for fr"),
        (None, None, "en", "does not say into which language"),
        (None, "gsw", None, "no English name for the language 'gsw'"),
    ],
)
def test_languages_that_the_model_is_not_for(pair, target, source, message):
    with pytest.raises(InputError, match=message):
        made_for(pair).pair_for(target, source)


@pytest.mark.parametrize(
    "model_type, system",
    [("qwen2_audio", "You are a professional translator."), ("voxtral", None)],
)
def test_default_prompt_says_what_the_family_can_say(model_type, system, tmp_path):
    (tmp_path / "config.json").write_text(f'{{"model_type": "{model_type}"}}')
    (tmp_path / "model.safetensors").touch()
    assert read_deployment(tmp_path).prompt.system == system
