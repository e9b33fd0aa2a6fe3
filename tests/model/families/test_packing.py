"""Packed directories, by transformers' own classes."""

import json

import pytest
import torch
import transformers
from bitsandbytes.nn import Linear4bit

from slimspeech.errors import InputError
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_model
from slimspeech.models.nf4_embedding import allow_any_width
from slimspeech.models.size import measure_size
from slimspeech.pruning.layers import prune_checkpoint
from slimspeech.quantization.nf4 import nf4
from slimspeech.quantization.pack import pack
from slimspeech.release.export import export


def stock(directory):
    """The model and what is wrong with it, by the class that a model card names."""
    architecture = json.loads((directory / "config.json").read_text())["architectures"][0]
    model, report = getattr(transformers, architecture).from_pretrained(
        directory, dtype=torch.bfloat16, output_loading_info=True
    )
    wrong = [report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")]
    return allow_any_width(model).eval(), [key for keys in wrong for key in keys]


@torch.inference_mode()
def logits(model, base):
    batch = Collator(base.processor, base.prompt)(base.rows[:2])
    del batch["labels"]
    return model(**batch, use_cache=False).logits[batch["attention_mask"].bool()]


@pytest.fixture(scope="module")
def pruned(base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("pruned") / "model"
    prune_checkpoint(base.directory, directory, [0, 1, 3, 7])
    return directory


def test_packed_is_quantised_at_load(base, pruned, tmp_path):
    pack(pruned, tmp_path / "packed")
    model, wrong = stock(tmp_path / "packed")
    assert wrong == []
    quantised = load_model(pruned, torch.bfloat16, nf4())
    names = [
        {name for name, module in m.named_modules() if isinstance(module, Linear4bit)}
        for m in (model, quantised)
    ]
    assert names[0] == names[1]
    base.family.prepare(model)
    assert torch.equal(logits(model, base), logits(quantised, base))
    assert measure_size(tmp_path / "packed")["decoder_layers"] == 4


def test_a_part_can_be_left_in_bfloat16(base, pruned, tmp_path):
    pack(pruned, tmp_path / "packed", {"projector": "none"})
    model, wrong = stock(tmp_path / "packed")
    assert wrong == []
    module = base.family.modules["projector"]
    inside = [m for m in model.get_submodule(module).modules() if isinstance(m, torch.nn.Linear)]
    assert inside and not any(isinstance(m, Linear4bit) for m in inside)
    assert any(isinstance(m, Linear4bit) for m in model.modules())


def test_embedding_and_head_in_4_bits_or_refused(base, pruned, tmp_path):
    quantization = {"embedding": "nf4", "head": "nf4"}
    if base.model.all_tied_weights_keys:
        with pytest.raises(InputError, match="embedding is its output head too"):
            pack(pruned, tmp_path / "packed", quantization)
        return
    pack(pruned, tmp_path / "packed", quantization)
    small = load_model(tmp_path / "packed", torch.bfloat16)
    assert logits(small, base).isfinite().all()


def test_what_hears_nothing_can_be_left_out(base, pruned, tmp_path):
    if not base.family.unused_parts:
        with pytest.raises(InputError, match="cannot do without vision"):
            pack(pruned, tmp_path / "packed", without=["vision"])
        return
    pack(pruned, tmp_path / "whole", "none")
    pack(pruned, tmp_path / "packed", "none", without=["vision"])
    size = measure_size(tmp_path / "packed")
    assert "vision" not in size["weights_by_part"]
    assert json.loads((tmp_path / "packed" / "config.json").read_text())["vision_config"] is None
    model, wrong = stock(tmp_path / "packed")
    assert wrong == []
    whole, _ = stock(tmp_path / "whole")
    assert torch.equal(logits(model, base), logits(whole, base))


def test_exported_loads(base, pruned, tmp_path):
    export(pruned, tmp_path / "bf16")
    model, wrong = stock(tmp_path / "bf16")
    assert wrong == []
    assert len(model.get_decoder().layers) == 4


def test_generation_config_keeps_the_rules_for_tokens(base, pruned, tmp_path):
    pack(pruned, tmp_path / "packed")
    written = json.loads((tmp_path / "packed" / "generation_config.json").read_text())
    before = base.model.generation_config
    assert not written.get("do_sample")
    ends = before.eos_token_id if isinstance(before.eos_token_id, list) else [before.eos_token_id]
    assert set(ends) <= set(written["eos_token_id"])
    assert written.get("suppress_tokens") == before.suppress_tokens
