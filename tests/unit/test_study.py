"""What docs/results.md says of the study is what the stored translations of its seeds say."""

import csv
import io
import json
import re
import tarfile
from functools import cache

import pytest
from project import REPOSITORY
from sacrebleu.metrics import CHRF
from study_page import cells_of_the_page

METRICS = {"en-de": CHRF(word_order=2), "en-zh": CHRF()}
ARCHIVES = [REPOSITORY / "resources" / "study" / f"seed-{seed}.tar.xz" for seed in (0, 1, 2)]


@cache
def of_archive(path):
    """The texts of its files, by name, and the folder of its seed."""
    texts = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if re.search(r"scores\.csv|test\.jsonl|evaluation/.*hypotheses\.jsonl", member.name):
                texts[member.name] = archive.extractfile(member).read().decode()
    [table] = [name for name in texts if name.endswith("scores.csv")]
    return texts, table.removesuffix("scores.csv")


def scores_of(path):
    texts, folder = of_archive(path)
    return list(csv.DictReader(io.StringIO(texts[f"{folder}scores.csv"])))


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_the_page_says_what_the_stored_scores_say(path):
    scored = scores_of(path)
    assert len(scored) == 30
    seed = path.name.removesuffix(".tar.xz").replace("-", " ")
    for row in scored:
        if row["system"] != "teacher":
            cell = cells_of_the_page(row["pair"])[0][row["system"]][seed]
            assert cell == f"{float(row['percent_of_teacher']):.1f}", (row["pair"], row["system"])


def test_the_page_says_how_often_the_lower_end_of_a_single_model_b_is_below_97_percent():
    below = {
        pair: sum(
            float(row["percent_of_teacher_low"]) < 97
            for path in ARCHIVES
            for row in scores_of(path)
            if (row["pair"], row["system"]) == (pair, "B")
        )
        for pair in METRICS
    }
    assert below == {"en-de": 1, "en-zh": 2}
    page = " ".join((REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8").split())
    assert "below 97 % in one of three seeds in German, and in two of three in Chinese" in page


def test_the_readme_has_the_means_of_the_page():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (.*) \| [\d.]+ % \| (.*) \| (.*) \|$", text, re.M)
    systems = ["base", "teacher", "quantised", "A", "pruned-03", "B"]
    for system, (_, *cells) in zip(systems, table, strict=True):
        for pair, cell in zip(METRICS, cells, strict=True):
            if system == "teacher":
                assert cell == "100"
            else:
                own = cells_of_the_page(pair)[0][system]
                assert cell == f"{own['mean of seeds']} ({own['over segments']})"


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
@pytest.mark.parametrize("pair", METRICS)
@pytest.mark.parametrize("system", ["teacher", "B"])
def test_sacrebleu_gives_the_stored_translations_the_stored_score(path, pair, system):
    texts, folder = of_archive(path)
    [score] = [row for row in scores_of(path) if (row["pair"], row["system"]) == (pair, system)]
    hypotheses = {
        row["id"]: row["hypothesis"]
        for row in rows_of(texts[f"{folder}{pair}/evaluation/{system}/hypotheses.jsonl"])
    }
    segments = rows_of(texts[f"results/study/{pair}/data/test.jsonl"])
    assert len(segments) == len(hypotheses) == 3000
    ours = float(score["chrf++" if pair == "en-de" else "chrf"])
    theirs = METRICS[pair].corpus_score(
        [hypotheses[row["id"]] for row in segments], [[row["target"] for row in segments]]
    )
    assert ours == pytest.approx(theirs.score, abs=1e-9)
