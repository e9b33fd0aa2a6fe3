"""Load, save and describe Qwen2-Audio models. Weights are safetensors; no code comes from data."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoProcessor,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from slimspeech.encoder import allow_short
from slimspeech.errors import InputError
from slimspeech.four_bit_embedding import allow_any_width, model_class


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(place: torch.device | None = None) -> str:
    """ "NVIDIA H100", or "CPU, 2 threads": what a time was measured on, by default device()."""
    place = place or device()
    if place.type == "cuda":
        return torch.cuda.get_device_name(place)
    return f"CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def load_processor(directory: str | Path) -> ProcessorMixin:
    """Tokenizer, feature extractor and chat template.

    Raises InputError if the path is missing, or if the tokenizer is not that of the model there.
    """
    check_directory(directory)
    processor = AutoProcessor.from_pretrained(directory)
    _check_tokenizer(directory, processor, AutoConfig.from_pretrained(directory))
    return processor


def load_model(
    directory: str | Path,
    dtype: torch.dtype,
    quantization: BitsAndBytesConfig | None = None,
    place: torch.device | None = None,
) -> PreTrainedModel:
    """A model in evaluation mode, on the GPU if there is one and no other place is given.

    A packed (4-bit) directory carries its own quantization; then `dtype` is what the rest is in.
    Raises InputError if the directory is missing or holds no safetensors, or if a weight is
    missing from it (transformers would fill it with random numbers and only warn).
    """
    check_directory(directory)
    kind = model_class(AutoConfig.from_pretrained(directory))
    model, report = kind.from_pretrained(
        directory,
        dtype=dtype,
        device_map={"": place or device()},
        quantization_config=quantization,
        use_safetensors=True,
        output_loading_info=True,
    )
    wrong = sorted(report["missing_keys"]) + sorted(report["mismatched_keys"])
    if wrong:
        raise InputError(
            f"{directory}: the weights do not fit the config: {len(wrong)} missing or of another "
            f"shape, such as {wrong[0]}; the checkpoint is incomplete, make or download it again"
        )
    return allow_any_width(allow_short(model)).eval()


def load_for_inference(
    directory: str | Path, precision: str, place: torch.device | None = None
) -> PreTrainedModel:
    """A model to translate with, in "fp32" or "bf16". A 4-bit one computes in bfloat16 always.

    place: as in load_model().
    """
    check_directory(directory)
    packed = hasattr(AutoConfig.from_pretrained(directory), "quantization_config")
    dtype = torch.bfloat16 if packed or precision == "bf16" else torch.float32
    return load_model(directory, dtype, place=place)


def save_model(model: PreTrainedModel, processor: ProcessorMixin, directory: str | Path) -> None:
    """Write weights, config and processor: the whole directory, reloaded and tried, or nothing."""

    def write(partial: Path) -> None:
        model.save_pretrained(partial)
        processor.save_pretrained(partial)
        try_model(partial)

    write_directory(directory, write)


@torch.inference_mode()
def try_model(directory: str | Path) -> None:
    """Load a directory on the CPU and run one prompt through it.

    Raises RuntimeError if a logit is not finite, InputError if it does not load.
    """
    model = load_model(directory, torch.bfloat16, place=torch.device("cpu"))
    processor = load_processor(directory)
    rate = processor.feature_extractor.sampling_rate
    batch = processor(
        text=f"{processor.audio_bos_token}{processor.audio_token}{processor.audio_eos_token}",
        audio=[np.zeros(rate, dtype=np.float32)],
        sampling_rate=rate,
        return_tensors="pt",
    )
    if not torch.isfinite(model(**batch).logits).all():
        raise RuntimeError(f"{directory}: the model gives logits that are not numbers")


def write_directory(directory: str | Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a sibling directory, and put it in place when it is complete."""
    directory = Path(directory)
    partial = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write(partial)
        shutil.rmtree(directory, ignore_errors=True)
        os.replace(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_decoder_layers(directory: str) -> int:
    """The number of decoder layers, from the config alone."""
    check_directory(directory)
    return AutoConfig.from_pretrained(directory).text_config.num_hidden_layers


def check_directory(directory: str | Path) -> None:
    path = Path(directory)
    if not (path / "config.json").is_file():
        raise InputError(
            f"{directory}: no model there (config.json is missing); "
            "give base.model as a directory made by save_pretrained"
        )
    if not any(path.glob("*.safetensors")):
        raise InputError(
            f"{directory}: no *.safetensors there; other weight formats can carry code and are "
            "not read, convert the model with save_pretrained"
        )


def _check_tokenizer(
    directory: str | Path, processor: ProcessorMixin, config: PreTrainedConfig
) -> None:
    """A foreign tokenizer gives ids that the embedding lacks, or that stand for other tokens."""
    tokens, rows = len(processor.tokenizer), config.text_config.vocab_size
    problem = ""
    if tokens > rows:
        problem = f"it has {tokens} tokens and the embedding {rows}"
    elif processor.audio_token_id != config.audio_token_id:
        problem = (
            f"its {processor.audio_token} is token {processor.audio_token_id} and the model's is "
            f"{config.audio_token_id}"
        )
    if problem:
        raise InputError(
            f"{directory}: the tokenizer is another model's: {problem}; copy the processor's files "
            "from the model that these weights come from"
        )
