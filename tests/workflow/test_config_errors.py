"""What is wrong with a config stops Snakemake before anything runs, with the key and the fix.

What can be wrong is tested without Snakemake, in tests/unit/test_config_form.py and
test_config_checks.py.
"""

import pytest
from configs import change, read_config


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("pruning/shards", 0, "config: pruning.shards: 0 is less than the minimum of 1"),
        ("languages", {False: "Norwegian"}, "config: languages: YAML reads a key here as false"),
        ("pruning/iterations", 11, "config: pruning.iterations: 11 of the 12 layers of resources"),
    ],
)
def test_a_wrong_value_stops_before_anything_runs(project, path, value, message):
    stops(project, change(read_config(), path, value), message)


def test_every_problem_is_printed(project):
    config = change(read_config(), "pairs", ["de-de"])
    config["base"]["model"] = "none"
    stops(project, config, "config: pairs: ", "config: base.model: ")


def test_a_student_that_stands_twice_is_named(project):
    path = project.root / "twice.yaml"
    path.write_text("students:\n  A: {stages: []}\n  A: {stages: []}\n", encoding="utf-8")
    done = project.snakemake("--configfile", str(path), "--cores", "1")
    assert done.returncode != 0
    assert "students.A stands in line 2 and again in line 3" in done.stdout


def test_a_secret_is_refused_and_not_repeated(project):
    config = change(read_config(), "data/hub", {"repository": "https://canary@host/x"})
    stops(project, config, "config: data.hub.repository: holds a password or a token")
    files = [file for file in project.root.rglob("*") if file.is_file()]
    holding = [file.name for file in files if b"canary" in file.read_bytes()]
    assert holding == ["changed.yaml"]


def test_a_stage_is_only_trained_by_its_own_method(project):
    wrong = "results/mini/en-de/students/A/1-full/model"
    done = project.snakemake(wrong, "--cores", "1")
    assert done.returncode != 0
    assert "config: students.A has no stage 1-full, only 1-qlora; ask for" in done.stdout
    assert not (project.root / "results").exists()


def test_a_language_without_an_english_name_stops_the_first_job(project, corpus):
    for texts in corpus.splits.values():
        texts["tlh"] = ["nuqneH", "tlhIngan", "maHtaH", "qatlho'"]
    corpus.write()
    config = project.default_config()
    config["pairs"] = ["en-tlh"]
    config["data"]["archive"] = str(corpus.root)
    segments = "results/mini/data/segments.jsonl"
    chosen = ("--configfile", project.write_config(config), "--cores", "1")
    done = project.snakemake(segments, *chosen)
    assert done.returncode != 0
    assert "no English name for the language 'tlh'; add `languages: {\"tlh\": " in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.root / segments).exists()

    config["languages"] = {"tlh": "Klingon"}
    project.write_config(config)
    project.succeed(segments, *chosen)
    assert (project.root / segments).exists()


def stops(project, config, *messages):
    done = project.snakemake("--configfile", project.write_config(config), "--cores", "1")
    assert done.returncode != 0
    for message in messages:
        assert message in done.stdout
    assert "canary" not in done.stdout
    assert len(done.stdout.splitlines()) < 12, "the message is lost in what else is printed"
    assert not (project.root / "results").exists()
    assert not (project.root / "logs").exists()
