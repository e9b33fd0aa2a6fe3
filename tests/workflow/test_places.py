"""Projects in folders whose names a shell would divide."""

import site
import subprocess
import sysconfig
import venv
from pathlib import Path

from project import make_project


def test_a_folder_with_braces_is_told_at_the_start(tmp_path: Path):
    done = make_project(tmp_path / "a {b}").snakemake("--dry-run")
    assert done.returncode != 0
    assert "a {b}: Snakemake takes braces in the path of a project" in done.stdout


def test_jobs_run_in_a_folder_with_a_space(tmp_path: Path, corpus):
    """The path of Python, which Snakemake writes into shell commands, has the space too."""
    project = make_project(tmp_path / "it's my project (1)")
    environment = project.root / ".venv"
    venv.create(environment, symlinks=True)
    packages = {sysconfig.get_path("purelib"), *site.getsitepackages()}
    libraries = next(environment.glob("lib/python*/site-packages"))
    (libraries / "all.pth").write_text("\n".join(sorted(packages)))
    config = project.default_config()
    config["data"]["archive"] = str(corpus.root)
    segments = f"results/{config['experiment']}/data/segments.jsonl"
    command = [".venv/bin/python", "-m", "snakemake", segments, "--cores", "1"]
    done = subprocess.run(
        [*command, "--configfile", Path(project.write_config(config)).name],
        cwd=project.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((project.root / segments).read_text(encoding="utf-8").splitlines()) == 8
