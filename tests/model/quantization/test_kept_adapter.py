"""An adapter that stays beside packed weights: what the directory holds, and who loads it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny_model import logits
from transformers import Qwen2AudioForConditionalGeneration

from slimspeech.errors import InputError
from slimspeech.families.whisper import allow_short
from slimspeech.models.loading import load_for_inference, load_model, read_config
from slimspeech.models.size import measure_size
from slimspeech.models.state_dict import state_dict_bytes
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech.quantization.merge import merge_adapter
from slimspeech.quantization.nf4 import nf4
from slimspeech.quantization.pack import pack
from slimspeech.quantization.predicted_size import count_adapter
from slimspeech.release.export import export


@pytest.fixture(scope="module")
def kept(trained, adapter, tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("kept") / "packed"
    pack(trained[0], directory, adapter=adapter)
    return directory


def load_by_stock_classes(directory: Path) -> torch.nn.Module:
    model = Qwen2AudioForConditionalGeneration.from_pretrained(directory, dtype=torch.bfloat16)
    return allow_short(model.eval())  # features that are cut to the batch


def test_stock_transformers_loads_the_model_that_was_trained(trained, adapter, kept, features):
    """Its own matrices are rounded to bfloat16."""
    quantised = load_model(trained[0], torch.bfloat16, nf4())
    without = logits(quantised, features)
    with_adapter = logits(PeftModel.from_pretrained(quantised, adapter).eval(), features)
    found = logits(load_by_stock_classes(kept), features)
    distance = (found - with_adapter).abs().mean()
    assert distance < 0.05 * (without - with_adapter).abs().mean()


def test_in_the_project_it_is_what_stock_transformers_loads(kept, features):
    expected = logits(load_by_stock_classes(kept), features)
    assert torch.equal(logits(load_for_inference(kept, "bf16"), features), expected)


def test_its_size_is_counted_apart(trained, adapter, kept, tmp_path):
    pack(trained[0], tmp_path / "packed")
    size, alone = measure_size(kept), measure_size(tmp_path / "packed")
    weights = count_adapter(read_config(trained[0]), r=4)
    assert size["weights_by_part"] == alone["weights_by_part"] | {"adapter": weights}
    assert size["bytes_by_part"]["adapter"] == 2 * weights
    assert size["dtypes_by_part"]["adapter"] == ["BF16"]
    assert size["bytes"] > alone["bytes"] + 2 * weights
    assert state_dict_bytes(kept) > state_dict_bytes(tmp_path / "packed") + 2 * weights


def test_nothing_names_the_model_that_it_was_trained_on(trained, kept):
    assert json.loads((kept / "adapter_config.json").read_text())["base_model_name_or_path"] is None
    assert trained[0] not in "".join(file.read_text() for file in kept.glob("*.json"))


def test_an_export_has_it_merged(trained, adapter, tmp_path):
    export(trained[0], tmp_path / "export", adapter)
    merge_adapter(trained[0], adapter, tmp_path / "merged")
    export(tmp_path / "merged", tmp_path / "expected")
    found, expected = (
        load_file(tmp_path / name / "model.safetensors") for name in ("export", "expected")
    )
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not (tmp_path / "export" / "adapter_config.json").exists()


def test_it_is_kept_beside_four_bits_alone(trained, adapter, tmp_path):
    with pytest.raises(InputError, match="beside 4-bit weights"):
        pack(trained[0], tmp_path / "packed", "none", adapter=adapter)


def test_that_of_another_model_is_refused(trained, adapter, tmp_path):
    prune_checkpoint(trained[0], tmp_path / "pruned", [0, 1, 3])
    with pytest.raises(InputError, match="14 adapter matrices do not fit .* another model"):
        pack(tmp_path / "pruned", tmp_path / "packed", adapter=adapter)


@pytest.mark.parametrize("missing", ["adapter_config.json", "adapter_model.safetensors"])
def test_half_an_adapter_is_refused(kept, tmp_path, missing):
    """transformers would load the model without it, and not say so."""
    directory = Path(shutil.copytree(kept, tmp_path / "packed"))
    (directory / missing).unlink()
    with pytest.raises(InputError, match=missing):
        load_for_inference(directory, "fp32")
