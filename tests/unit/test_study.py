"""What docs/results.md says of the study is what the stored translations of its seeds say."""

import csv
import io
import json
import re
import tarfile

import pytest
from project import REPOSITORY
from sacrebleu.metrics import CHRF

LANGUAGES = {"en-de": ("German", CHRF(word_order=2)), "en-zh": ("Chinese", CHRF())}
NAMES = {"base": "base", "teacher": "teacher", "A": "Model A", "B": "Model B"}
NAMES |= {"pruned-03": "3 layers removed"}
ARCHIVES = sorted((REPOSITORY / "resources" / "study").glob("seed-*.tar.xz"))


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
    [test] = [
        text for name, text in texts.items() if name.endswith(f"study/{pair}/data/test.jsonl")
    ]
    hypotheses = {
        row["id"]: row["hypothesis"]
        for row in rows_of(texts[f"{folder}{pair}/evaluation/{system}/hypotheses.jsonl"])
    }
    segments = rows_of(test)
    assert len(segments) == len(hypotheses) == 3000
    language, metric = LANGUAGES[pair]
    ours = float(score["chrf++" if language == "German" else "chrf"])
    theirs = metric.corpus_score(
        [hypotheses[row["id"]] for row in segments], [[row["target"] for row in segments]]
    )
    assert ours == pytest.approx(theirs.score, abs=1e-9)
