"""Export a trained model for serving engines, in the layout of the model's publisher.

vLLM, llama.cpp's converter and older transformers read that layout, and so does transformers 5,
which writes another one.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import sinusoids

from slimspeech import families
from slimspeech.artifacts import write_directory
from slimspeech.models.checkpoints import Change, rewrite, unchanged
from slimspeech.models.loading import load_processor, read_config
from slimspeech.quantization.merge import adding
from slimspeech.quantization.predicted_size import predicted_bytes

WINDOW = 30  # seconds; engines take no shorter window of an encoder that masks padding
POSITIONS = "audio_tower.embed_positions.weight"
FRAMES_PER_POSITION = 2  # mel frames


def export(model: str | Path, target: str | Path, adapter: str | Path | None = None) -> None:
    """Write a model that is not quantised, tensor by tensor, in bfloat16, with a window of 30 s.

    A shorter window is padded, of an audio encoder that masks what lies behind a clip: the words
    of a clip stay the same. adapter: one that is merged into what the 4-bit weights stand for.
    Raises InputError as rewrite() and merge_adapter() do, such as for a quantised model.
    """
    config = read_config(model)
    family = families.of(config)
    needed = sum(predicted_bytes(config, "none").values())
    extractor = load_processor(model, config).feature_extractor.to_dict()
    change = adding(config, adapter) if adapter else unchanged
    if family.masks_padding:
        extractor = padded_extractor(extractor)
        positions = extractor["nb_max_frames"] // FRAMES_PER_POSITION
        config.audio_config.max_source_positions = positions
        change = partial(_pad, change, count=positions)

    def write(directory: Path) -> None:
        rewrite(model, directory, config, change, needed=needed)
        family.finish_export(directory, extractor)
        load_processor(directory)

    write_directory(target, write)


def _pad(change: Change, name: str, tensor: Tensor, count: int) -> Mapping[str, Tensor]:
    """The tensors of another change, the encoder's positions padded."""
    if name == POSITIONS and len(tensor) < count:
        tensor = padded_positions(tensor, count)
    return change(name, tensor)


def padded_extractor(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a feature extractor, with a window of at least 30 s."""
    if settings["chunk_length"] >= WINDOW:
        return settings
    samples = WINDOW * settings["sampling_rate"]
    frames = samples // settings["hop_length"]
    return settings | {"chunk_length": WINDOW, "n_samples": samples, "nb_max_frames": frames}


def padded_positions(weight: Tensor, count: int) -> Tensor:
    """The audio encoder's positions, followed by Whisper's sinusoids: (count, width).

    Only what lies behind a clip within the shorter window hears the added ones, and is masked.
    """
    added = sinusoids(count, weight.shape[1])[len(weight) :]
    return torch.cat([weight, added.to(weight.dtype)])
