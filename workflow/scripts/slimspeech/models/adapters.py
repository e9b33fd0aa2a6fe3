"""LoRA adapters as peft writes them, checked against the model that they were trained on."""

from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import PretrainedConfig

from slimspeech.errors import InputError
from slimspeech.models.loading import readable
from slimspeech.models.shapes import skeleton
from slimspeech.models.validation.directory import check_adapter
from slimspeech.models.validation.weights import ADAPTER_WEIGHTS, read_header

# What plain LoRA may choose. Everything else must be off or peft's default.
CHOSEN = (
    *("base_model_name_or_path", "inference_mode", "lora_alpha", "lora_dropout", "peft_version"),
    *("r", "revision", "target_modules", "task_type", "use_rslora"),
)


def require_adapter(config: PretrainedConfig, directory: str | Path) -> PeftModel:
    """The model of the config with the adapter of a directory, on the meta device.

    Raises InputError for adapters that are more than LoRA's two matrices a layer, and if matrices
    are missing, left over or misshapen. Of the matrices only names and shapes are read.
    """
    check_adapter(directory)
    stored = read_header(Path(directory, ADAPTER_WEIGHTS))
    with readable(directory, "the adapter's config"):
        settings = LoraConfig.from_pretrained(directory)
    _require_plain(directory, settings)
    with readable(directory, "the adapter's config"):
        model = get_peft_model(skeleton(config), settings)
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    strangers = sorted(stored.keys() ^ expected.keys()) or sorted(
        name for name, tensor in expected.items() if tensor.shape != stored[name].shape
    )
    if strangers:
        raise InputError(
            f"{directory}: {len(strangers)} adapter matrices do not fit the model, such as "
            f"{strangers[0]}; the adapter was made for another model, train it on this one"
        )
    return model


def _require_plain(directory: str | Path, settings: LoraConfig) -> None:
    defaults = LoraConfig().to_dict()
    strange = [
        key
        for key, value in settings.to_dict().items()
        if key not in CHOSEN and value and value != defaults.get(key)
    ]
    if isinstance(getattr(settings, "target_modules", None), str):  # a pattern may never end
        strange.append("target_modules")
    if strange:
        raise InputError(
            f"{directory}: {strange[0]} is not as in plain LoRA, and no other adapter is taken; "
            "train plain LoRA on modules that are named"
        )


def read_matrices(directory: str | Path) -> dict[str, Tensor]:
    """The matrices of an adapter that require_adapter() accepts, by their names in the file.

    Raises InputError if some are zero or hold values that are not numbers.
    """
    matrices = load_file(Path(directory, ADAPTER_WEIGHTS))
    broken = [name for name, tensor in matrices.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(
            f"{directory}: {len(broken)} adapter matrices hold values that are not numbers, such "
            f"as {broken[0]}; lower the learning rate and train it again"
        )
    idle = [name for name, tensor in matrices.items() if "lora_B" in name and not tensor.any()]
    if idle:
        raise InputError(
            f"{directory}: {len(idle)} adapter matrices are zero, such as {idle[0]}; the adapter "
            "never trained: check that the stage has data and a learning rate"
        )
    return matrices
