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
ARCHIVES = [REPOSITORY / "resources" / "study" / f"seed-{seed}.tar.xz" for seed in (1, 2)]


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


@cache
def seeds_of_the_page(language):
    """Of each table in a language's section, its cells by name of the row and seed."""
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    [section] = re.findall(rf"^### {language}\n(.*?)^#", page, re.M | re.S)
    tables = []
    for table in re.findall(r"(?:^\|.*\n)+", section, re.M):
        plain = re.sub("[`*]", "", table).splitlines()
        columns, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in plain]
        first = columns.index("seed 0")
        tables.append(
            {
                (re.split("[:,]", row[first - 1])[0], seed): cell
                for row in rows
                for seed, cell in zip(columns[first:], row[first:], strict=True)
            }
        )
    return tables


def seed_of(path):
    return path.name.removesuffix(".tar.xz").replace("-", " ")


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.name)
def test_the_page_says_what_the_stored_scores_say(path):
    texts, folder = of_archive(path)
    scored = list(csv.DictReader(io.StringIO(texts[f"{folder}scores.csv"])))
    assert len(scored) == 30
    for row in scored:
        if row["system"] == "teacher":
            continue
        value, low, high = (float(row[f"percent_of_teacher{end}"]) for end in ("", "_low", "_high"))
        language, _ = LANGUAGES[row["pair"]]
        name = NAMES.get(row["system"], row["system"])
        cell = seeds_of_the_page(language)[0][name, seed_of(path)]
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
    differences = contrast_seeds(scores, evaluation["contrasts"])
    assert len(differences) == 10
    for row in differences:
        value, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
        compared = f"{row['system']} - {row['other']}", seed_of(path)
        cell = seeds_of_the_page(LANGUAGES[pair][0])[1][compared]
        same = value == low == high == 0
        assert cell == (
            "0: the same layers" if same else f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"
        ), row
