"""COMET in its own environment, by the rules, on tiny checkpoints that it wrote itself."""

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fake_hub import COMMIT, HubHandler, serve
from project import REPOSITORY, Project, make_project

PYTHON = REPOSITORY / ".venv-comet" / "bin" / "python"
SEGMENTS = [
    ("dev-2", "talk.1", "Hello there.", "Hallo.", "Hallo da."),
    ("dev-1", "talk.1", "This is a model.", "Das ist ein Modell.", "Das ist ein Modell."),
    ("dev-4", "talk.2", "It is small.", "", "Es ist klein."),
    ("dev-3", "talk.1", "Thank you very much.", "Danke dir sehr.", "Danke."),
]
SAMPLES = [{"src": source, "mt": mt, "ref": ref} for _, _, source, mt, ref in SEGMENTS]
FOLDER = Path("results", "mini", "en-de")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (REPOSITORY / ".venv-comet" / "installed").is_file(),
        reason="COMET is not installed: `make .venv-comet/installed`",
    ),
]


def run(
    *command: str | Path, environment: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess:
    alone = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment = os.environ | alone | (environment or {})
    return subprocess.run(command, env=environment, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def direct(tmp_path_factory) -> dict[str, dict]:
    """The folder of a checkpoint by its class, and the scores of a direct call of COMET."""
    checkpoints = {}
    for name in ("RegressionMetric", "CometKiwi"):
        folder = tmp_path_factory.mktemp(name)
        script = REPOSITORY / "tests" / "workflow" / "tiny_comet.py"
        done = run(PYTHON, script, folder, name, input=json.dumps(SAMPLES))
        assert done.returncode == 0, done.stderr[-4000:]
        checkpoints[name] = {"folder": str(folder)} | json.loads(done.stdout.splitlines()[-1])
    return checkpoints


@pytest.fixture(scope="module")
def comet(tmp_path_factory, direct) -> Project:
    """A project with one translated test set, scored by two metrics."""
    project = make_project(tmp_path_factory.mktemp("comet") / "project")
    (project.root / ".venv-comet").symlink_to(REPOSITORY / ".venv-comet")
    system = project.root / FOLDER / "evaluation" / "teacher"
    keys = ("id", "talk", "source", "hypothesis", "target")
    rows = [dict(zip(keys, segment, strict=True)) for segment in SEGMENTS]
    write_jsonl(project.root / FOLDER / "data" / "test.jsonl", rows)
    write_jsonl(system / "hypotheses.jsonl", reversed(rows))
    config = project.default_config()
    config["evaluation"]["comet"] = {
        "comet_tiny": {"model": direct["RegressionMetric"]["folder"], "batch_size": 2},
        "cometkiwi": {"model": f"{direct['CometKiwi']['folder']}/checkpoints/model.ckpt"},
    }
    project.write_config(config)
    with pytest.MonkeyPatch.context() as environment:
        # As in a SLURM job of four tasks, where COMET by itself fails.
        environment.setenv("SLURM_NTASKS", "4")
        environment.setenv("SLURM_JOB_NAME", "score_comet")
        project.succeed(*request("comet_tiny", "cometkiwi"))
    return project


def request(*metrics: str) -> list[str]:
    targets = [f"{FOLDER}/evaluation/teacher/comet/{metric}.json" for metric in metrics]
    only = ["--allowed-rules", "fetch_comet", "score_comet"]
    return [*targets, "--configfile", "changed.yaml", "--cores", "1", *only]


@pytest.mark.parametrize(
    ("metric", "kind", "nrefs"),
    [("comet_tiny", "RegressionMetric", 1), ("cometkiwi", "CometKiwi", 0)],
)
def test_the_rule_writes_the_scores_of_a_direct_call(comet, direct, metric, kind, nrefs):
    folder = comet.root / FOLDER / "evaluation" / "teacher" / "comet"
    rows = [json.loads(line) for line in (folder / f"{metric}.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [segment[0] for segment in SEGMENTS]
    scores = direct[kind]["scores"]
    assert len(set(scores)) == len(scores)
    assert [row["score"] for row in rows] == pytest.approx(scores, abs=1e-6)

    summary = json.loads((folder / f"{metric}.json").read_text())
    assert summary["score"] == pytest.approx(direct[kind]["score"], abs=1e-6)
    assert (summary["pair"], summary["system"], summary["metric"]) == ("en-de", "teacher", metric)
    assert summary["needs_reference"] is bool(nrefs)
    assert summary["talks"] == {
        "talk.1": {"segments": 3, "score": pytest.approx((sum(scores) - scores[2]) / 3, abs=1e-6)},
        "talk.2": {"segments": 1, "score": pytest.approx(scores[2], abs=1e-6)},
    }
    assert summary["signature"].startswith(f"nrefs:{nrefs}|model:/")
    assert summary["signature"].endswith("|version:2.2.7")


def test_resegmented_text_gets_the_same_scores(comet, direct):
    folder = FOLDER / "submission" / "teacher"
    shutil.copytree(
        comet.root / FOLDER / "evaluation" / "teacher",
        comet.root / folder,
        ignore=shutil.ignore_patterns("comet"),
    )
    (comet.root / folder / "hypotheses.jsonl").rename(comet.root / folder / "resegmented.jsonl")
    options = ["--configfile", "changed.yaml", "--cores", "1", "--allowed-rules"]
    comet.succeed(str(folder / "comet" / "comet_tiny.json"), *options, "score_talks_by_comet")
    summary = json.loads((comet.root / folder / "comet" / "comet_tiny.json").read_text())
    assert summary["score"] == pytest.approx(direct["RegressionMetric"]["score"], abs=1e-6)
    assert summary["system"] == "teacher"


def test_a_search_scores_layers_by_comet(comet, direct):
    """One layer has the hypotheses of the test set, the other has them in another order."""
    folder = FOLDER / "pruning" / "comet" / "iter_01"
    (comet.root / folder).mkdir(parents=True, exist_ok=True)
    segments = comet.root / FOLDER / "pruning" / "segments.jsonl"
    shutil.copy(comet.root / FOLDER / "data" / "test.jsonl", segments)
    texts = [segment[3] for segment in SEGMENTS]
    rows = [
        {"layer": layer, "id": segment[0], "hypothesis": text}
        for layer, hypotheses in ((4, texts), (7, texts[::-1]))
        for segment, text in zip(SEGMENTS, hypotheses, strict=True)
    ]
    write_jsonl(comet.root / folder / "hypotheses.jsonl", rows)
    config = yaml.safe_load((comet.root / "changed.yaml").read_text())
    config["pruning"] |= {"comet": "comet_tiny", "clips": None}
    (comet.root / "search.yaml").write_text(yaml.safe_dump(config))
    only = ["--allowed-rules", "score_layers_by_comet"]
    options = ["--configfile", "search.yaml", "--cores", "1", *only]
    comet.succeed(str(folder / "comet.csv"), *options)
    with (comet.root / folder / "comet.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert [row["layer"] for row in scores] == ["4"] * 4 + ["7"] * 4
    assert [row["id"] for row in scores] == [segment[0] for segment in SEGMENTS] * 2
    assert {row["metric"] for row in scores} == {"comet_tiny"}
    expected = direct["RegressionMetric"]["scores"]
    assert [float(row["score"]) for row in scores[:4]] == pytest.approx(expected, abs=1e-6)
    assert [float(row["score"]) for row in scores[4:]] != pytest.approx(expected, abs=1e-6)


def test_a_second_run_does_nothing(comet):
    assert "Nothing to be done" in comet.succeed(*request("comet_tiny", "cometkiwi"))


def refuse(project: Project, checkpoint: Path, hypotheses: Path) -> str:
    """The log of score_comet.py, which has to fail."""
    fetched = json.loads((project.root / "results/mini/comet/comet_tiny.json").read_text())
    changed = project.root / "changed.json"
    changed.write_text(json.dumps(fetched | {"checkpoint": str(checkpoint)}))
    options = {
        "checkpoint": changed,
        "hypotheses": hypotheses,
        "test": FOLDER / "data" / "test.jsonl",
        "pair": "en-de",
        "system": "teacher",
        "batch-size": 2,
        "threads": 1,
        "segments": "out.jsonl",
        "score": "out.json",
        "log": "out.log",
    }
    command = [f"--{name}={value}" for name, value in options.items()]
    done = run(PYTHON, "workflow/scripts/score_comet.py", *command, cwd=project.root)
    assert done.returncode != 0
    assert not (project.root / "out.jsonl").exists()
    errors = (project.root / "out.log").read_text(encoding="utf-8")
    assert "Traceback" not in errors
    return errors


def copy(direct, kind: str, folder: Path) -> Path:
    shutil.copytree(direct[kind]["folder"], folder)
    return folder / "checkpoints" / "model.ckpt"


def test_a_checkpoint_of_another_class_than_its_hparams_is_refused(comet, direct, tmp_path):
    """COMET itself would score with the missing weights at random."""
    path = copy(direct, "CometKiwi", tmp_path / "mixed")
    shutil.copy(Path(direct["RegressionMetric"]["folder"]) / "hparams.yaml", tmp_path / "mixed")
    errors = refuse(comet, path, FOLDER / "evaluation/teacher/hypotheses.jsonl")
    assert str(path) in errors and "RegressionMetric" in errors


def test_a_checkpoint_that_lacks_weights_is_refused(comet, direct, tmp_path):
    path = copy(direct, "RegressionMetric", tmp_path / "cut")
    spoil(path, "[state['state_dict'].pop(k) for k in list(state['state_dict']) if 'ff.0' in k]")
    errors = refuse(comet, path, FOLDER / "evaluation/teacher/hypotheses.jsonl")
    assert str(path) in errors and "2 weights" in errors and "estimator.ff.0." in errors


def test_a_score_of_nan_is_refused(comet, direct, tmp_path):
    path = copy(direct, "RegressionMetric", tmp_path / "nan")
    spoil(path, "state['state_dict']['estimator.ff.0.weight'].fill_(float('nan'))")
    errors = refuse(comet, path, FOLDER / "evaluation/teacher/hypotheses.jsonl")
    assert str(path) in errors and "4 of 4" in errors and "dev-2, dev-1, dev-4, dev-3" in errors


def test_an_empty_file_of_hypotheses_is_refused(comet, direct):
    (comet.root / "empty.jsonl").touch()
    path = Path(direct["RegressionMetric"]["folder"]) / "checkpoints" / "model.ckpt"
    errors = refuse(comet, path, Path("empty.jsonl"))
    assert "4 segments" in errors and "dev-2" in errors


def spoil(path: Path, change: str) -> None:
    code = f"import torch; state = torch.load('{path}'); {change}; torch.save(state, '{path}')"
    done = run(PYTHON, "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_missing_checkpoint_stops_the_run_at_its_start(comet):
    config = comet.default_config()
    config["evaluation"]["comet"] = {"comet22": {"model": "Unbabel/wmt22-comet-da"}}
    comet.write_config(config)
    home = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(comet.root / "empty")}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in home.items():
            environment.setenv(name, value)
        done = comet.snakemake(*request("comet22"))
    assert done.returncode != 0
    assert "evaluation.comet.comet22: Unbabel/wmt22-comet-da" in done.stdout
    assert "Traceback" not in done.stdout


class Hub(HubHandler):
    """Answers as the Hugging Face Hub does; its repositories are the folders below `root`."""

    root: Path

    def do_GET(self):
        path = self.path.partition("?")[0].strip("/").removeprefix("api/models/")
        repository, _, rest = path.partition("/resolve/" if "/resolve/" in path else "/revision/")
        revision, _, name = rest.partition("/")
        folder = self.root / repository
        if repository == "tiny/gated":
            self.answer(403, **{"X-Error-Code": "GatedRepo"})
        elif not folder.is_dir():
            self.answer(404, **{"X-Error-Code": "RepoNotFound"})
        elif revision not in ("main", COMMIT):
            self.answer(404, **{"X-Error-Code": "RevisionNotFound"})
        elif name:
            self.answer(200, (folder / name).read_bytes(), ETag=f'"{hash(path):x}"')
        else:
            files = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
            siblings = [{"rfilename": file} for file in files]
            info = {"id": repository, "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(info).encode())

    do_HEAD = do_GET


@pytest.fixture
def hub(direct, tmp_path) -> Iterator[dict[str, str]]:
    """The environment of a Hub with tiny/comet and its tiny/encoder, and an empty cache."""
    path = copy(direct, "RegressionMetric", tmp_path / "tiny" / "comet")
    shutil.move(tmp_path / "tiny" / "comet" / "encoder", tmp_path / "tiny" / "encoder")
    spoil(path, "state['hyper_parameters']['pretrained_model'] = 'tiny/encoder'")
    hparams = path.parents[1] / "hparams.yaml"
    encoder = f"{direct['RegressionMetric']['folder']}/encoder"
    hparams.write_text(hparams.read_text().replace(encoder, "tiny/encoder"))

    cache = {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_secret"}
    with serve(type("ThisHub", (Hub,), {"root": tmp_path})) as endpoint:
        yield {"HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1"} | cache


def test_a_metric_of_the_hub_is_fetched_once_and_then_needs_no_network(comet, direct, hub):
    config = comet.default_config()
    config["evaluation"]["comet"] = {"comet_hub": {"model": "tiny/comet"}}
    comet.write_config(config)
    fetched = comet.root / "results" / "mini" / "comet" / "comet_hub.json"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in hub.items():
            environment.setenv(name, value)
        comet.succeed(str(fetched.relative_to(comet.root)), *request("comet_hub")[1:])
        environment.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nothing answers
        comet.succeed(*request("comet_hub"))
    assert json.loads(fetched.read_text())["revision"] == COMMIT
    folder = comet.root / FOLDER / "evaluation" / "teacher" / "comet"
    summary = json.loads((folder / "comet_hub.json").read_text())
    expected = direct["RegressionMetric"]["score"]
    assert summary["score"] == pytest.approx(expected, abs=1e-6)
    assert "|model:tiny/comet|revision:0123456789ab|" in summary["signature"]


@pytest.mark.parametrize(
    ("model", "revision", "message"),
    [
        ("tiny/gated", "main", "gated"),
        ("tiny/none", "main", "does not exist"),
        ("tiny/comet", "v9", "no such revision"),
        ("tiny/encoder", "main", "0 files"),
    ],
)
def test_an_error_of_the_hub_names_the_cause(hub, tmp_path, model, revision, message):
    options = {"metric": "comet_hub", "model": model, "revision": revision, "trusted": "False"}
    options |= {"output": tmp_path / "fetched.json", "log": tmp_path / "log"}
    command = [f"--{name}={value}" for name, value in options.items()]
    script = REPOSITORY / "workflow" / "scripts" / "fetch_comet.py"
    done = run(PYTHON, script, *command, environment=hub)
    assert done.returncode != 0
    errors = (tmp_path / "log").read_text(encoding="utf-8")
    assert message in errors
    assert "Traceback" not in errors and "hf_secret" not in errors
    assert not (tmp_path / "fetched.json").exists()


def write_jsonl(path: Path, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
