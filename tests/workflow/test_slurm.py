"""The smoke run as jobs of a real SLURM, against the same run without it."""

import pytest
from project import Project
from slurm_cluster import BY_SLURM
from smoke_project import RUN, hashes, leaks, logged_in, smoke_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory, cluster) -> Project:
    """The experiment by `--profile profiles/slurm`, the shards as tasks of arrays."""
    folder = tmp_path_factory.mktemp("on_slurm")
    project = smoke_project(folder / "project")
    arrays = ("--slurm-array-jobs", "score_layers", "--slurm-keep-successful-logs")
    with cluster.in_use(), logged_in(folder / "home"):
        printed = project.succeed(*RUN[2:], *BY_SLURM, *arrays)
    (project.root / "printed.txt").write_text(printed, encoding="utf-8")
    return project


def test_a_run_on_a_cluster_writes_and_prints_no_secret(on_slurm):
    assert leaks(on_slurm) == []


def test_each_job_goes_through_slurm_with_the_resources_of_its_rule(on_slurm, cluster):
    jobs = cluster.completed()
    assert len(jobs) > 30
    assert all("JobState=COMPLETED" in job for job in jobs)
    logs = on_slurm.root / ".snakemake" / "slurm_logs"
    counts = {
        path.name.removeprefix("rule_"): len(list(path.rglob("*.log"))) for path in logs.iterdir()
    }
    assert counts["score_layers"] == 4  # two searches in two shards each
    tasks = [path.stem.split("_")[1:] for path in (logs / "rule_score_layers").rglob("*.log")]
    assert sorted(tasks) == [["1"], ["1"], ["2"], ["2"]], "each search is an array"
    assert (counts["train_teacher"], counts["train_adapter"], counts["translate_test"]) == (1, 2, 5)
    assert "tabulate_scores" not in counts, "a job of a second does not wait in the queue"


def test_slurm_gives_the_results_of_a_local_run(smoke_hashes, on_slurm):
    assert hashes(on_slurm) == smoke_hashes
