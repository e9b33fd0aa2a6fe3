"""Two seeds through the workflow: what they share is made once, and the table has both."""

import csv
import json

import pytest
import yaml
from project import REPOSITORY
from smoke_project import smoke_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A teacher of each seed, and nothing else."""
    project = smoke_project(tmp_path_factory.mktemp("seeded") / "project")
    text = (REPOSITORY / "tests" / "config" / "smoke.yaml").read_text(encoding="utf-8")
    config = yaml.safe_load(text) | {"seed": [0, 1], "students": {}}
    for key in ("pruning", "submission"):
        config.pop(key, None)
    config["evaluation"] = {"systems": ["base", "teacher"], "cost": {"repeats": 0}}
    project.succeed("--cores", "2", "--configfile", project.write_config(config))
    return project.root / "results" / "smoke"


def test_each_seed_has_its_own_teacher_on_the_same_data(seeded):
    later = seeded / "seed-1"
    weights = [f / "en-de" / "teacher" / "model.safetensors" for f in (seeded, later)]
    assert weights[0].read_bytes() != weights[1].read_bytes()
    for shared in ("data/audio", "en-de/data/train.jsonl", "en-de/evaluation/base/scores.json"):
        assert (later / shared).is_symlink() and (later / shared).samefile(seeded / shared)
    config = json.loads((later / "config.json").read_text())
    assert (config["experiment"], config["seed"]) == ("smoke/seed-1", 1)


def test_the_table_is_of_both_seeds(seeded):
    with open(seeded / "seeds.csv", encoding="utf-8") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["base", "teacher"]
    scores = [
        json.loads((folder / "en-de/evaluation/teacher/scores.json").read_text())["metrics"]
        for folder in (seeded, seeded / "seed-1")
    ]
    mean = sum(metrics["chrf++"]["score"] for metrics in scores) / 2
    assert float(rows["teacher"]["score"]) == pytest.approx(mean)
    assert (rows["base"]["seeds"], float(rows["base"]["score_sd"])) == ("2", 0)
    assert "seeds.md" in (seeded / "report.html").read_text(encoding="utf-8")
    assert (seeded / "seed-1" / "scores.md").is_file()
