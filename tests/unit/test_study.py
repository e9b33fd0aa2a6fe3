"""What docs/results.md says of the study is what the stored translations of its seeds say."""

import csv
import io
import json
import re
import tarfile
from functools import cache

import pytest
import yaml
from project import REPOSITORY
from sacrebleu.metrics import CHRF

from slimspeech.evaluation.seeds import contrast_seeds, score_seeds

LANGUAGES = {"en-de": ("German", CHRF(word_order=2)), "en-zh": ("Chinese", CHRF())}
NAMES = {"A": "Model A", "B": "Model B", "pruned-03": "3 layers removed"}
ARCHIVES = sorted((REPOSITORY / "resources" / "study").glob("seed-*.tar.xz"))


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


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def segments_of(texts, pair):
    [test] = [
        text for name, text in texts.items() if name.endswith(f"study/{pair}/data/test.jsonl")
    ]
    return rows_of(test)


def table_of_the_page():
    """By system and column, each percentage with its interval."""
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    [table] = re.findall(r"^\| of teacher, .*seed 0.*\n(?:\|.*\n)+", page, re.M)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    names, rows = lines[0][1:], lines[2:]
    return {
        (re.split("[:,]", row[0])[0].strip("`*"), name): cell.strip("*")
        for row in rows
        for name, cell in zip(names, row[1:], strict=True)
    }


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_the_page_says_what_the_stored_scores_say(path):
    texts, folder = of_archive(path)
    seed = path.name.removesuffix(".tar.xz").replace("-", " ")
    page = table_of_the_page()
    scored = list(csv.DictReader(io.StringIO(texts[f"{folder}scores.csv"])))
    assert len(scored) == 30
    for row in scored:
        if row["system"] == "teacher":
            continue
        value, low, high = (float(row[f"percent_of_teacher{end}"]) for end in ("", "_low", "_high"))
        language, _ = LANGUAGES[row["pair"]]
        name = NAMES.get(row["system"], row["system"])
        cell = page[name, f"{language}, {seed}"]
        assert cell == f"{value:.1f} ({low:.1f} to {high:.1f})", (row["pair"], name)


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
@pytest.mark.parametrize("pair", LANGUAGES)
@pytest.mark.parametrize("system", ["teacher", "B"])
def test_sacrebleu_gives_the_stored_translations_the_stored_score(path, pair, system):
    texts, folder = of_archive(path)
    [score] = [
        row
        for row in csv.DictReader(io.StringIO(texts[f"{folder}scores.csv"]))
        if (row["pair"], row["system"]) == (pair, system)
    ]
    hypotheses = {
        row["id"]: row["hypothesis"]
        for row in rows_of(texts[f"{folder}{pair}/evaluation/{system}/hypotheses.jsonl"])
    }
    segments = segments_of(texts, pair)
    assert len(segments) == len(hypotheses) == 3000
    language, metric = LANGUAGES[pair]
    ours = float(score["chrf++" if language == "German" else "chrf"])
    theirs = metric.corpus_score(
        [hypotheses[row["id"]] for row in segments], [[row["target"] for row in segments]]
    )
    assert ours == pytest.approx(theirs.score, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
@pytest.mark.parametrize("pair", LANGUAGES)
def test_the_page_says_what_the_stored_translations_differ_by(path, pair):
    texts, folder = of_archive(path)
    evaluation = yaml.safe_load((REPOSITORY / "config" / "study.yaml").read_text())["evaluation"]
    hypotheses = {
        system: [rows_of(texts[f"{folder}{pair}/evaluation/{system}/hypotheses.jsonl"])]
        for system in evaluation["systems"]
        if f"{folder}{pair}/evaluation/{system}/hypotheses.jsonl" in texts
    }
    scores = score_seeds(pair, segments_of(texts, pair), hypotheses)
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    differences = contrast_seeds(scores, evaluation["contrasts"])
    assert len(differences) == 10
    for row in differences:
        value, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
        compared = f"| `{row['system']}` - `{row['other']}` |"
        [line] = [line for line in page.splitlines() if compared in line]
        column = ["German, seed 0", "German, seed 1", "Chinese, seed 0", "Chinese, seed 1"].index(
            f"{LANGUAGES[pair][0]}, {path.name.removesuffix('.tar.xz').replace('-', ' ')}"
        )
        cell = line.split("|")[3 + column].strip()
        assert cell == f"{value:+.2f} [{low:+.2f}, {high:+.2f}]", row
