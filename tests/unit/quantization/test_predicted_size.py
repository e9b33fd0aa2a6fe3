"""Known figures of the true shape, worked out without its weights."""

import pytest

from slimspeech.quantization.predicted_size import (
    count_adapter,
    count_weights,
    full_size,
    predicted_bytes,
)

QWEN = "qwen2_audio"
SMALLEST = {"embedding": "nf4", "head": "nf4"}


@pytest.mark.parametrize(("layers", "weights"), [(32, 8_397_094_912), (24, 6_777_929_728)])
def test_weights(layers, weights):
    assert sum(count_weights(full_size(QWEN, layers)).values()) == weights


def test_one_layer():
    full, pruned = count_weights(full_size(QWEN, 32)), count_weights(full_size(QWEN, 31))
    assert full["decoder"] - pruned["decoder"] == 202_395_648
    assert full | {"decoder": 0} == pruned | {"decoder": 0}


def test_adapter():
    assert count_adapter(full_size(QWEN, 32), r=64) == 207_437_824
    adapter, model = count_adapter(full_size(QWEN, 24), r=64), count_weights(full_size(QWEN, 24))
    assert adapter == 167_460_864
    assert 100 * adapter / (adapter + sum(model.values())) == pytest.approx(2.411, abs=5e-4)


@pytest.mark.parametrize(
    ("quantization", "gigabytes"),
    [("none", (16.79, 13.56)), ("nf4", (6.24, 5.41)), (SMALLEST, (4.34, 3.51))],
)
def test_bytes(quantization, gigabytes):
    for layers, expected in zip((32, 24), gigabytes, strict=True):
        found = sum(predicted_bytes(full_size(QWEN, layers), quantization).values())
        assert found / 1e9 == pytest.approx(expected, abs=0.005)
