"""Known figures of the true shape, worked out without its weights."""

from collections import Counter

import pytest

from slimspeech.families import FAMILIES
from slimspeech.models.shapes import shapes
from slimspeech.quantization.predicted_size import (
    count_adapter,
    count_weights,
    full_size,
    predicted_bytes,
)

QWEN = "qwen2_audio"
SMALLEST = {"embedding": "nf4", "head": "nf4"}


# Weights, bytes in bfloat16, bytes with all linear layers but the head in NF4. Those of Gemma in
# bfloat16 are those of the published file without its header, 23,919,549,408 - 88,960.
PUBLISHED = {
    "qwen2_audio": (8_397_094_912, 16_794_189_824, 6_241_960_813),
    "gemma4_unified": (11_959_730_224, 23_919_460_448, 7_678_005_774),
    "voxtral": (4_676_271_104, 9_352_542_208, 3_619_922_436),
}


@pytest.mark.parametrize("family", PUBLISHED)
def test_published_models(family):
    weights, plain, packed = PUBLISHED[family]
    config = full_size(family)
    assert sum(count_weights(config).values()) == weights
    assert sum(predicted_bytes(config, "none").values()) == plain
    # A 4-bit matrix carries one number as text, whose length is an estimate.
    assert sum(predicted_bytes(config, "nf4").values()) == pytest.approx(packed, abs=2000)


def test_layers_of_different_kinds_differ_in_size():
    config = full_size("gemma4_unified")
    by_layer = Counter()
    for name, shape in shapes(config).items():
        by_layer[FAMILIES["gemma4_unified"].layer_of(name)] += shape.numel()
    assert (by_layer[0], by_layer[5]) == (224_148_993, 241_844_225)
    assert max(by_layer.keys() - {None}) == 47


def test_without_pictures():
    """99,844,608 bytes less."""
    config = full_size("gemma4_unified")
    config.vision_config = None
    assert sum(predicted_bytes(config, "none").values()) == 23_919_460_448 - 99_844_608


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
    # Kept beside the packed weights it takes 2 bytes a weight.
    assert 2 * adapter / 1e9 == pytest.approx(0.335, abs=5e-4)


@pytest.mark.parametrize(
    ("quantization", "gigabytes"),
    [("none", (16.79, 13.56)), ("nf4", (6.24, 5.41)), (SMALLEST, (4.34, 3.51))],
)
def test_bytes(quantization, gigabytes):
    for layers, expected in zip((32, 24), gigabytes, strict=True):
        found = sum(predicted_bytes(full_size(QWEN, layers), quantization).values())
        assert found / 1e9 == pytest.approx(expected, abs=0.005)


# Embedding and head of 156,032 rows of 4096 weights take 2.56 GB.
@pytest.mark.parametrize(
    ("layers", "vocabulary", "gigabytes"),
    [
        (24, 20_000, 3.18),
        (24, 33_000, 3.39),
        (32, 20_000, 4.01),
        (32, 33_000, 4.23),
        (24, None, 5.41),
    ],
)
def test_bytes_with_a_trimmed_vocabulary(layers, vocabulary, gigabytes):
    found = predicted_bytes(full_size(QWEN, layers), "nf4", vocabulary)
    whole = predicted_bytes(full_size(QWEN, layers), "nf4")
    assert sum(found.values()) / 1e9 == pytest.approx(gigabytes, abs=0.005)
    assert {part for part in whole if whole[part] != found[part]} <= {"embedding", "head"}
    assert found["head"] == 2 * 4096 * (vocabulary or 156_032)


@pytest.mark.parametrize(
    ("vocabulary", "quantization", "size"),
    [
        (65_536, "nf4", 4_759_274_349),
        (32_768, "nf4", 4_222_403_437),
        (65_536, SMALLEST, 3_962_490_185),
        (32_768, SMALLEST, 3_824_012_617),
    ],
)
def test_bytes_of_the_whole_stack_with_a_trimmed_vocabulary(vocabulary, quantization, size):
    found = predicted_bytes(full_size(QWEN, 32), quantization, vocabulary)
    assert sum(found.values()) == pytest.approx(size, abs=2000)


# In Gemma 4 embedding and head are one matrix. Sliding layers are removed first, the vision part
# is left out. Of each 4-bit matrix a few bytes are text, which files can have more or fewer of.
@pytest.mark.parametrize(
    ("model_type", "layers", "vocabulary", "size"),
    [
        ("gemma4_unified", 40, 65_536, 5_204_174_036),
        ("gemma4_unified", 32, 65_536, 4_278_862_548),
        ("gemma4_unified", 32, 24_000, 3_959_866_068),  # `pareto` of config/iwslt2027.yaml
        ("gemma4_unified", 48, 32_768, 5_877_827_284),
        ("gemma4_unified", 24, None, 4_863_500_500),
        ("voxtral", 30, 65_536, 2_814_616_068),
        ("voxtral", 22, None, 3_178_356_268),
        ("voxtral", 22, 65_536, 2_373_049_900),
        ("voxtral", 22, 32_768, 1_970_396_716),
        ("voxtral", 14, 65_536, 1_931_483_732),
        ("voxtral", 14, 32_768, 1_528_830_548),
    ],
)
def test_bytes_of_other_families(model_type, layers, vocabulary, size):
    config = full_size(model_type)
    kinds = getattr(config.text_config, "layer_types", None) or [None] * 30
    sliding = [layer for layer, kind in enumerate(kinds) if kind != "full_attention"]
    gone = set(sliding[: len(kinds) - layers])
    kept = [layer for layer in range(len(kinds)) if layer not in gone]
    FAMILIES[model_type].keep_in_config(config.text_config, kept)
    config.vision_config = None
    found = sum(predicted_bytes(config, "nf4", vocabulary).values())
    assert found == pytest.approx(size, abs=2000)
