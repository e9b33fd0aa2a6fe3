import pytest
import torch
from bitsandbytes.nn import Linear4bit
from tiny_model import logits

from slimspeech.models import precision as precision_module
from slimspeech.models.loading import load_for_inference
from slimspeech.models.precision import resolve_precision
from slimspeech.quantization.pack import pack

CPU = torch.device("cpu")


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def native(request, monkeypatch) -> bool:
    """A machine with bfloat16 of its own, or without."""
    monkeypatch.setattr(precision_module, "has_native_bf16", lambda hardware: request.param)
    return request.param


def test_auto_is_bf16_where_the_device_has_it(native):
    assert resolve_precision("auto", CPU) == ("bf16" if native else "fp32")


@pytest.mark.parametrize("asked", ["bf16", "fp32", "bf16_stochastic"])
def test_a_precision_that_is_asked_for_stays(asked, native):
    assert resolve_precision(asked, CPU) == asked


@pytest.fixture(scope="module", params=["nf4", {"embedding": "nf4", "head": "nf4"}])
def packed(request, trained, tmp_path_factory) -> str:
    directory = str(tmp_path_factory.mktemp("packed") / "packed")
    pack(trained[0], directory, request.param)
    return directory


@pytest.mark.parametrize("asked, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_packed_models_compute_in_what_is_asked_for(asked, dtype, packed, native, features):
    model = load_for_inference(packed, asked)
    assert model.dtype == dtype
    four_bit = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    assert {layer.compute_dtype for layer in four_bit} == {dtype}
    assert torch.isfinite(logits(model, features)).all()


def test_auto_is_one_precision_for_packed_and_other_models(packed, trained, native):
    dtypes = {load_for_inference(str(model), "auto").dtype for model in (packed, trained[0])}
    assert dtypes == {torch.bfloat16 if native else torch.float32}


def test_packed_models_say_the_same_in_both(packed, features):
    outputs = [logits(load_for_inference(packed, p), features).float() for p in ("bf16", "fp32")]
    assert torch.allclose(*outputs, atol=0.25)
    assert not torch.equal(*outputs)
