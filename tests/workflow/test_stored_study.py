"""`make study-tables`: the means over seeds in docs/results.md, from the stored translations."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from project import REPOSITORY, make_project
from study_page import LANGUAGES, cells_of_the_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_project(tmp_path_factory.mktemp("study") / "project").root
    shutil.copy(REPOSITORY / "Makefile", root)
    (root / "resources" / "study").symlink_to(REPOSITORY / "resources" / "study")
    # The environment of the tests stands for .venv.
    options = ["--assume-old=.venv/installed", f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(
        ["make", *options, "study-tables"],
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "# Scores over seeds" in done.stdout
    assert "Result: results/stored-study/seeds.md" in done.stderr
    return root / "results" / "stored-study"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shown(row: dict[str, str], name: str, form: str, between: str) -> list[str]:
    """As on the page: the mean with its spread, both intervals, and each seed."""
    mean, deviation = float(row[name]), float(row[f"{name}_sd"])
    ends = [
        between.format(*(float(row[f"{name}{by}_{end}"]) for end in ("low", "high")))
        for by in ("", "_by_talk")
    ]
    of_seeds = [f"{float(each):{form}}" for each in row[f"{name}_of_seeds"].split()]
    return [f"{mean:{form}} ± {deviation:{form.removeprefix('+')}}", *ends, *of_seeds]


@pytest.mark.parametrize("pair", LANGUAGES)
def test_the_page_gives_the_means_of_the_systems(results, pair):
    systems, _ = cells_of_the_page(pair)
    rows = [row for row in rows_of(results / "seeds.csv") if row["pair"] == pair]
    assert {row["system"] for row in rows} == {"teacher", *systems}
    for row in rows:
        if row["system"] != "teacher":
            expected = shown(row, "percent_of_teacher", ".1f", "{:.1f} to {:.1f}")
            assert list(systems[row["system"]].values())[1:] == expected


@pytest.mark.parametrize("pair", LANGUAGES)
def test_the_page_gives_the_differences(results, pair):
    _, differences = cells_of_the_page(pair)
    rows = [row for row in rows_of(results / "contrasts.csv") if row["pair"] == pair]
    assert len(rows) == len(differences) == 10
    for row in rows:
        expected = shown(row, "difference", "+.2f", "[{:+.2f}, {:+.2f}]")
        assert list(differences[f"{row['system']} - {row['other']}"].values())[2:] == expected


@pytest.mark.parametrize("pair", LANGUAGES)
def test_the_page_shows_the_figure_of_these_values(results, pair):
    made, published = [
        re.findall('aria-label="([^"]+)"', (folder / f"{pair}.seeds.svg").read_text("utf-8"))
        for folder in (results / "plots", REPOSITORY / "docs" / "figures")
    ]
    assert made == published
    assert any(label.startswith("B: ") for label in made)
