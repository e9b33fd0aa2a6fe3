"""What is wrong with a config is told before anything runs, in a sentence with the key in it."""

import pytest

pytestmark = pytest.mark.workflow


def change(config, path, value):
    *folders, key = path.split("/")
    for folder in folders:
        config = config[int(folder) if isinstance(config, list) else folder]
    config[int(key) if isinstance(config, list) else key] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("evalution", {}, "top level: unknown key evalution; the keys here are experiment, "),
        (
            "teacher/training/lerning_rate",
            1e-4,
            "teacher.training: unknown key lerning_rate; the keys here are epochs, learning_rate",
        ),
        ("teacher/training/learning_rate", "5e-4", "teacher.training.learning_rate: '5e-4' is not"),
        ("students/A/stages/0/data/glod", 1, "students.A.stages.0.data: unknown key glod"),
        ("students/A/stages/0/method", "lora", "students.A.stages.0.method: 'lora' is not one of"),
        ("evaluation/metrics", ["meteor"], "evaluation.metrics.0: 'meteor' is not one of"),
        ("evaluation/comet", {"comet": {}}, "evaluation.comet.comet: 'model' is a required"),
        ("evaluation/comet", {"bytes": {"model": "a/b"}}, "evaluation.comet: 'bytes' does not"),
        (
            "evaluation/comet",
            {"comet": {"model": "my/comet.ckpt"}, "xcomet": {"model": "xcomet"}},
            "evaluation.comet.comet.model: there is no 'my/comet.ckpt'; give the path of a .ckpt",
        ),
        ("evaluation/comet", {"comet": {"model": "xcomet"}}, "comet.comet.model: there is no 'xc"),
        ("experiment", "../x", "experiment: '../x' does not match"),
        ("experiment", "mini_base", "experiment: results/mini_base is taken"),
        ("pairs", ["en-en"], "pairs: en-en translates a language into itself"),
        ("pairs", ["en-de", "zh-en"], "pairs: the sources are en, zh, but"),
        ("pairs", ["ende"], "pairs.0: 'ende' does not match"),
        ("base/model", "resources/none", "base.model: there is no directory 'resources/none'"),
        ("base/model", "results/models/mine", "base.hub: results/models is for models of the Hub"),
        ("pruning/criterion", "comet", "pruning.comet: the criterion comet needs a metric of"),
        ("pruning/comet", "xcomet", "(none yet) and xcomet is none; name one"),
        ("teacher/model", "none", "teacher.model: there is no directory 'none'"),
        ("data/archive", "acl.zip", "data.archive: there is no 'acl.zip'"),
        ("data/out_of_domain/folder", "cv", "data.out_of_domain.folder: there is no 'cv'"),
        ("data/archive", "results/corpora/acl6060-hub", "data.hub: results/corpora/acl6060-hub is"),
        ("data/hub", {"revision": "main"}, "data.hub.revision: 'main' does not match"),
        ("data/corpus", {"name": "Tales"}, "data.corpus: 'licence' is a required property"),
        ("data/split/test_talks", [], "data.split.test_talks: method talks needs a talk"),
        ("data/split/validation_talks", [], "pruning.split: the search translates validation"),
        (
            "pruning/iterations",
            11,
            "pruning.iterations: 11 of the 12 layers of resources/mini/base",
        ),
        ("pruning/protect_last", 9, "lower it to 2 or less"),
        ("students/B/layers_removed", 4, "students.B.layers_removed: 4 is more than pruning"),
        ("students/A/stages/0/data", {"gold": 0}, "students.A.stages.0.data: all factors are 0"),
        ("teacher/training/precision", "fp16", "teacher.training.precision: 'fp16' is not one of"),
        (
            "students/A/stages/0/training/precision",
            "bf16_stochastic",
            "students.A.stages.0.training.precision: bf16_stochastic is of full stages",
        ),
        ("evaluation/systems", ["base", "C"], "evaluation.systems: there is no C; choose among"),
        ("evaluation/systems", ["pruned-04"], "evaluation.systems: there is no pruned-04"),
        (
            "evaluation/systems",
            ["pruned-taylor-01", "pruned-loss-04", "pruned-loss-03"],
            "evaluation.systems: there is no pruned-taylor-01, pruned-loss-04; choose among base, "
            "teacher, pruned-01 (the teacher after one removal) to the last of pruning.iterations, "
            "pruned-loss-01 (by another criterion) and A, B",
        ),
        (
            "pruning/criterion",
            "taylor",
            "pruning.criterion: there is no 'taylor'; choose among chrf, shortlist, comet, ",
        ),
        (
            "students/B/criterion",
            "taylor",
            "students.B.criterion: there is no 'taylor'; choose among chrf, shortlist, comet, ",
        ),
        (
            "evaluation/cost",
            {"repeats": -1},
            "evaluation.cost.repeats: -1 is less than the minimum",
        ),
        ("evaluation/checks", {"length_ratio": 1}, "evaluation.checks.length_ratio: 1 is less"),
        ("evaluation/texts", {"x": "none/{pair}"}, "evaluation.texts.x: there is no folder 'none/"),
        ("evaluation/texts", {"A": "config"}, "evaluation.texts: A is a student's name"),
        ("pruning/shards", 0, "pruning.shards: 0 is less than the minimum of 1"),
        ("pruning/shortlist", {"size": 0}, "pruning.shortlist.size: 0 is less than the minimum"),
        ("pruning/shortlist", {"by": "angular"}, "pruning.shortlist.by: 'angular' is not one of"),
    ],
)
def test_a_wrong_value_stops_before_anything_runs(project, path, value, message):
    config = project.default_config()
    change(config, path, value)
    stops(project, config, f"{message}")


def test_out_of_domain_must_be_configured(project):
    config = project.default_config()
    del config["data"]["out_of_domain"]
    stops(project, config, "students.B.stages.1.data: out_of_domain is not configured; add data.")


def test_all_problems_are_told_at_once(project):
    config = project.default_config()
    config["pairs"] = ["de-de"]
    config["base"]["model"] = "none"
    stops(project, config, "config: pairs: ", "config: base.model: ")


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("data/archive", "https://me:canary@host/acl.zip", "data.archive"),
        ("data/hub", {"repository": "https://canary@host/x"}, "data.hub.repository"),  # no schema
        ("base/hub", {"repository": "hf_canary" + "x" * 30}, "base.hub.repository"),
        ("evaluation/comet", {"https://canary:x@h": {}}, "evaluation.comet"),
        ("students/A/stages/0/method", "ftp://canary:@host", "students.A.stages.0.method"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(project, path, value, place):
    config = project.default_config()
    change(config, path, value)
    file = project.write_config(config)
    done = project.snakemake("--configfile", file, "--cores", "1")
    assert done.returncode != 0
    assert f"config: {place}: holds a password or a token" in done.stdout
    files = [file for file in project.root.rglob("*") if file.is_file()]
    told = [file.name for file in files if b"canary" in file.read_bytes()]
    assert told == ["changed.yaml"] and "canary" not in done.stdout


def test_a_missing_key_is_named(project):
    config = project.default_config()
    del config["data"]["archive"]
    stops(project, config, "config: data: 'archive' is a required property")


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
    assert "no English name for the language 'tlh'; add `languages: {tlh: " in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.root / segments).exists()

    config["languages"] = {"tlh": "Klingon"}
    project.write_config(config)
    project.succeed(segments, *chosen)
    assert (project.root / segments).exists()


def stops(project, config, *messages):
    path = project.write_config(config)
    done = project.snakemake("--configfile", path, "--cores", "1")
    assert done.returncode != 0
    for message in messages:
        assert message in done.stdout
    assert len(done.stdout.splitlines()) < 12, "the message is lost in what else is printed"
    assert not (project.root / "results").exists()
    assert not (project.root / "logs").exists()
