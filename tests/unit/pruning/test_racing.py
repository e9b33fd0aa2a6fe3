import importlib
import random

import pytest
from project import REPOSITORY

from slimspeech.artifacts import write_csv, write_jsonl
from slimspeech.evaluation.metrics import score
from slimspeech.pruning.racing import ROUND, finishers, race

WORDS = [
    "wir",
    "danken",
    "der",
    "jury",
    "und",
    "allen",
    "gästen",
    "für",
    "den",
    "schönen",
    "abend",
    "im",
    "neuen",
    "haus",
    "am",
    "see",
]


def sentences(count, seed):
    generator = random.Random(seed)
    return [" ".join(generator.choices(WORDS, k=8)) for _ in range(count)]


def damaged(texts, share, seed):
    """Every word replaced with this probability."""
    generator = random.Random(seed)
    return [
        " ".join("x" if generator.random() < share else word for word in text.split())
        for text in texts
    ]


def manifest(targets):
    return [{"id": str(i), "pair": "en-de", "target": text} for i, text in enumerate(targets)]


def run(hypotheses, targets):
    """The race, and how many translations each of its calls asked for."""
    calls = []

    def translate(layers, indices):
        calls.append((list(layers), list(indices)))
        return [[hypotheses[layer][i] for i in indices] for layer in layers]

    return race(list(hypotheses), manifest(targets), "chrf++", translate), calls


def corpus(texts, targets):
    return score(texts, targets, "de", ["chrf++"])["chrf++"]["score"]


def test_hopeless_candidates_are_dropped_after_the_first_round():
    targets = sentences(70, 0)
    hypotheses = {3: damaged(targets, 0.1, 1), 5: damaged(targets, 0.9, 2), 4: targets}
    texts, calls = run(hypotheses, targets)
    assert {layer: len(own) for layer, own in texts.items()} == {3: ROUND, 5: ROUND, 4: 70}
    assert [layers for layers, _ in calls] == [[3, 5, 4], [4], [4], [4]]
    assert sorted(i for _, indices in calls for i in indices) == list(range(70))
    assert all(own[i] == hypotheses[layer][i] for layer, own in texts.items() for i in own)


def test_equal_candidates_all_finish():
    targets = sentences(50, 0)
    worse = damaged(targets, 0.2, 1)
    texts, _ = run({2: worse, 7: worse}, targets)
    assert {layer: len(own) for layer, own in texts.items()} == {2: 50, 7: 50}


def test_few_segments_are_no_race():
    targets = sentences(ROUND, 0)
    texts, calls = run({2: targets, 7: damaged(targets, 0.9, 1)}, targets)
    assert len(calls) == 1
    assert {len(own) for own in texts.values()} == {ROUND}


@pytest.mark.parametrize("seed", range(8))
def test_the_winner_is_that_of_the_whole_search(seed):
    targets = sentences(100, seed)
    generator = random.Random(seed)
    hypotheses = {
        layer: damaged(targets, generator.uniform(0.2, 0.5), 100 * seed + layer)
        for layer in range(1, 7)
    }
    texts, _ = run(hypotheses, targets)
    counts = {layer: len(own) for layer, own in texts.items()}
    finished = finishers(counts)
    scores = {layer: corpus(own, targets) for layer, own in hypotheses.items()}
    assert max(scores, key=scores.get) in finished
    assert sum(counts.values()) < 600  # some translations are saved
    assert all(counts[layer] == 100 for layer in finished)


def test_the_benchmark_races_the_saved_translations(tmp_path, monkeypatch, capsys):
    """Layer 4 is never right, and layer 3 always."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    search = tmp_path / "pruning" / "chrf"
    targets = sentences(40, 0)
    hypotheses = [
        {"layer": layer, "id": str(i), "hypothesis": text if layer == 3 else "Nein!"}
        for layer in (3, 4)
        for i, text in enumerate(targets)
    ]
    write_jsonl(search.parent / "segments.jsonl", manifest(targets))
    write_jsonl(search / "iter_01" / "hypotheses.jsonl", hypotheses)
    rows = [{"layer": n, "metric": "chrf++", "score": 0} for n in (3, 4)]
    write_csv(search / "iter_01" / "scores.csv", rows)
    importlib.import_module("racing").main([str(search), "--resamples", "2"])
    last = capsys.readouterr().out.splitlines()[-1]
    cells = [cell.strip() for cell in last.split("|")]
    assert cells[1:-1] == ["iter_01", "yes", "2 of 2", "25 %", "25 %"]
