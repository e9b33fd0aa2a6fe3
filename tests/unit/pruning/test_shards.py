import random

import pytest

from slimspeech.errors import InputError
from slimspeech.pruning.shards import gather, number_of, share

CANDIDATES = [1, 2, 3, 5, 6]
IDS = ("dev-2", "dev-10")


def shard(name, translated=True, **changed):
    layers = share(CANDIDATES, *number_of(name))
    return {
        "shard": name,
        "iteration": 2,
        "kept": [0, *CANDIDATES, 7],
        "model": "a" * 64,
        "segments": "b" * 64,
        "settings": {"metric": "chrf++", "precision": "float32"},
        "candidates": CANDIDATES,
        "scores": [{"layer": layer, "metric": "chrf++", "score": 40.5 + layer} for layer in layers],
        "hypotheses": [
            {"layer": layer, "id": key, "hypothesis": f"{layer} {key}"}
            for layer in layers
            for key in IDS * translated
        ],
    } | changed


def shards(count, **options):
    return [shard(f"{number}-of-{count}", **options) for number in range(1, count + 1)]


@pytest.mark.parametrize("length", range(10))
@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_every_candidate_is_in_one_share(length, count):
    candidates = list(range(1, length + 1))
    shares = [share(candidates, number, count) for number in range(1, count + 1)]
    assert sorted(sum(shares, [])) == candidates
    assert all(part == sorted(part) for part in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_early_and_late_layers_are_spread():
    assert [share(range(1, 9), number, 2) for number in (1, 2)] == [[1, 4, 5, 8], [2, 3, 6, 7]]
    # What a share costs: one pass of 32 layers, and the rest of the stack for each candidate.
    costs = [sum(32 - layer for layer in share(range(1, 31), n, 4)) for n in (1, 2, 3, 4)]
    assert max(costs) <= 1.2 * min(costs)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("translated", [True, False])
def test_what_is_gathered_does_not_depend_on_the_shards(count, translated):
    parts = shards(count, translated=translated)
    random.Random(0).shuffle(parts)
    scores, hypotheses = gather(parts)
    assert scores == shard("1-of-1")["scores"]
    assert [row["layer"] for row in scores] == CANDIDATES
    # Within a layer the segments stay in the manifest's order.
    assert hypotheses == shard("1-of-1", translated)["hypotheses"]


@pytest.mark.parametrize(
    "field, value",
    [
        ("iteration", 3),
        ("kept", [0, 1, 2, 3, 4, 5, 7]),
        ("model", "a" * 63 + "c"),
        ("segments", "c" * 64),
        ("settings", {"metric": "chrf++", "precision": "bf16"}),
        ("candidates", [1, 2, 3, 5]),
    ],
)
def test_shards_of_different_searches(field, value):
    parts = [*shards(3)[:2], shard("3-of-3", **{field: value})]
    with pytest.raises(InputError, match=f"1-of-3 and 3-of-3 .*`{field}` differs"):
        gather(parts)


@pytest.mark.parametrize("names", [["1-of-3", "3-of-3"], ["1-of-2", "2-of-2", "2-of-2"]])
def test_shards_missing_or_doubled(names):
    with pytest.raises(InputError, match="score the layers .* each shard of the set once"):
        gather([shard(name) for name in names])
