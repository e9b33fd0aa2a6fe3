"""`snakemake --use-conda`: environments solved and installed from the files in `envs/`, each job in
its own. conda_command.py stands in for conda, conda_channel.py for conda-forge."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project import REPOSITORY, Project
from smoke_project import RUN, smoke_project

from slimspeech.evaluation.resegmentation import file_name

pytest.importorskip("rattler", reason="needs py-rattler")

from conda_channel import write_channel  # noqa: E402
from conda_command import CONDA_FORGE, write_commands  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the environments want Python 3.11"),
]

# Rules that need no model, so that none of their environments holds torch.
SCORES = "results/smoke/en-de/submission/mine/scores.json"
# Each script ends by writing where its Python is, and where its modules came from.
PROBE = """
import atexit, json, sys
@atexit.register
def _write():
    files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
    files = {name: file for name, file in files.items() if file and "." not in name}
    run = {"script": sys.argv[0], "prefix": sys.prefix, "files": files}
    with open("imports.jsonl", "a") as file:
        file.write(json.dumps(run) + "\\n")
"""
RAN = {
    "data": {"prepare_segments", "split_manifest"},
    "scoring": {"score_talks"},
}
# What the packages of an environment are imported as, of those that these rules import.
MODULES = {
    "data": {"numpy", "soundfile", "soxr", "tqdm"},
    "scoring": {"mweralign", "sacrebleu"},
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """With somebody else's translation of a talk, which is scored without a model."""
    project = smoke_project(tmp_path / "project")
    talks = project.root / "smoke" / "talks"
    talks.mkdir()
    (talks / file_name("mini.talk.201")).write_text("Das ist ein Satz.\n", encoding="utf-8")
    file = project.root / "smoke.yaml"
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    config["evaluation"]["texts"] = {"mine": "smoke/talks"}
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    with open(project.root / "workflow" / "scripts" / "slimspeech" / "__init__.py", "a") as init:
        init.write(PROBE)
    return project


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """pip reaches what it installs from."""
    pip = (sys.executable, "-m", "pip", "--retries=0", "download", "--quiet", "--no-deps", "tqdm")
    done = subprocess.run(pip, cwd=tmp_path_factory.mktemp("pip"), capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip cannot reach its index: {done.stderr.strip()[-200:]}")


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`conda` on the PATH, with a channel in place of conda-forge."""
    write_channel(tmp_path / "channel")
    write_commands(tmp_path / "conda")
    monkeypatch.setenv("PATH", str(tmp_path / "conda" / "bin"), prepend=os.pathsep)
    monkeypatch.setenv(CONDA_FORGE, (tmp_path / "channel").as_uri())


def test_each_job_runs_in_the_environment_of_its_rule(index, conda, project: Project):
    project.succeed(SCORES, *RUN, "--use-conda")
    lines = (project.root / "imports.jsonl").read_text(encoding="utf-8").splitlines()
    runs = [json.loads(line) for line in lines]
    prefixes = {str(environment_of(project, name)): name for name in RAN}
    scripts = {name: set() for name in RAN}
    imported = {name: {} for name in RAN}
    for run in runs:
        name = prefixes[run["prefix"]]
        scripts[name].add(Path(run["script"]).name.split(".")[-2])
        imported[name] |= run["files"]
    assert scripts == RAN
    for prefix, name in prefixes.items():
        # The driver's packages come later on the path of each job; none of these came from there.
        elsewhere = {
            module: imported[name].get(module)
            for module in MODULES[name]
            if not imported[name].get(module, "").startswith(f"{prefix}/")
        }
        assert elsewhere == {}
    scores = json.loads((project.root / SCORES).read_text(encoding="utf-8"))
    assert scores["metrics"]["chrf"]["score"] > 0


def environment_of(project: Project, name: str) -> Path:
    """The folder that Snakemake made from envs/{name}.yaml: it keeps a copy beside it."""
    wanted = (REPOSITORY / "envs" / f"{name}.yaml").read_bytes()
    [copy] = [
        path
        for path in (project.root / ".snakemake" / "conda").glob("*.yaml")
        if path.read_bytes() == wanted
    ]
    return copy.with_suffix("")
