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


@pytest.mark.parametrize("name", ["0-of-2", "3-of-2", "1", "1-of-0", "a-of-b", "1-of-2.json"])
def test_names_that_are_no_shards(name):
    with pytest.raises(InputError, match="no shard"):
        number_of(name)


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
    "field, value, message",
    [
        ("iteration", 3, "`iteration` is 2 in one and 3 in the other"),
        ("kept", [0, 1, 2, 3, 4, 5, 7], r"`kept` is \[0, 1, 2, 3, 5, 6, 7\] in one and \[0, 1, 2"),
        ("model", "a" * 63 + "c", '`model` is …a{30}a" in one and …a{30}c" in the other'),
        ("segments", "c" * 64, '`segments` is "b{59}… in one and "c{59}… in the other'),
        ("settings", {"metric": "chrf++", "precision": "bf16"}, "`settings` .*float32.*bf16"),
        ("candidates", [1, 2, 3, 5], "`candidates` "),
    ],
)
def test_shards_of_different_searches(field, value, message):
    parts = [*shards(3)[:2], shard("3-of-3", **{field: value})]
    with pytest.raises(InputError, match=f"shards 1-of-3 and 3-of-3 are not of one .*{message}"):
        gather(parts)


def test_a_long_value_is_shown_where_it_differs():
    words = [f"layer {number}" for number in range(100)]
    parts = [shard("1-of-2", settings=words), shard("2-of-2", settings=[*words[:-1], "another"])]
    with pytest.raises(InputError, match="layer 99.*another") as raised:
        gather(parts)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "none are not one set"),
        (["1-of-2", "2-of-3"], "1-of-2, 2-of-3 are not one set"),
        (["1-of-3", "3-of-3"], "missing: 2-of-3, given twice: none"),
        (["2-of-2", "1-of-2", "2-of-2"], "missing: none, given twice: 2-of-2; give each of the 2"),
        (["1-of-2", "1-of-2"], "missing: 2-of-2, given twice: 1-of-2"),
    ],
)
def test_shards_missing_or_doubled(names, message):
    with pytest.raises(InputError, match=message):
        gather([shard(name) for name in names])


@pytest.mark.parametrize(
    "rows, layers, message",
    [  # the share is 1, 5, 6
        ("scores", [1, 6], r"2 has no score for layers \[5\]"),
        ("scores", [1, 5, 6, 6], r"2 has two scores for layers \[6\]"),
        ("scores", [1, 2, 6], r"2 has .* \[5\]; scores, not its own, for layers \[2\]"),
        ("hypotheses", [1, 6], r"2 has no hypotheses for layers \[5\]"),
        ("hypotheses", [], r"2 has no hypotheses for layers \[1, 5, 6\]"),
        ("hypotheses", [1, 3, 5, 6], r"2 has hypotheses, not its own, for layers \[3\]"),
    ],
)
def test_candidates_missing_or_doubled(rows, layers, message):
    first, second = shards(2)
    every = {row["layer"]: row for row in shard("1-of-1")[rows]}
    first[rows] = [every[layer] for layer in layers]
    with pytest.raises(InputError, match=f"shard 1-of-{message}"):
        gather([first, second])
