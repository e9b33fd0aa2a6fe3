"""The model that is tried: that of the config, in random weights, as large as the card allows."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import full_size
import psutil
import torch
from transformers import PretrainedConfig, PreTrainedModel

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.families.family import Family
from slimspeech.models.collation import window_seconds
from slimspeech.models.loading import device, read_config
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.predicted_size import count_weights

FEWEST_LAYERS = 4


@dataclass(frozen=True)
class Subject:
    """config: of the experiment, its defaults filled in. folder: for files that are thrown away."""

    config: dict[str, Any]
    tiny: bool
    quick: bool
    folder: Path

    @cached_property
    def family(self) -> Family:
        """Raises InputError for a model that is not there and that no family names."""
        if (Path(self.config["base"]["model"]) / "config.json").is_file():
            return families.of(read_config(self.config["base"]["model"]))
        repository = (self.config["base"].get("hub") or {}).get("repository")
        for family in families.FAMILIES.values():
            if repository in family.hub_licences:
                return family
        raise InputError(
            f"{self.config['base']['model']}: not there, and base.hub names no model of a known "
            "shape; make it first, or give a config of a published model"
        )

    @property
    def device(self) -> torch.device:
        return device()

    @property
    def has_gpu(self) -> bool:
        return self.device.type == "cuda"

    @cached_property
    def memory(self) -> int:
        """Bytes of the card, or of the machine without one."""
        if self.has_gpu:
            return torch.cuda.get_device_properties(0).total_memory
        return psutil.virtual_memory().total

    @property
    def dtype(self) -> torch.dtype:
        """CPUs emulate bfloat16."""
        return torch.bfloat16 if self.has_gpu else torch.float32

    @property
    def precision(self) -> str:
        return "bf16" if self.has_gpu else "fp32"

    @cached_property
    def prompt(self) -> Prompt:
        return Prompt.of(self.config["prompt"], self.config["languages"])

    @property
    def pair(self) -> str:
        return self.config["pairs"][0]

    @cached_property
    def base(self) -> full_size.Base:
        texts = [self.prompt.system or "", *map(self.prompt.request, self.config["pairs"])]
        base = full_size.make_base(self.family.model_type, texts, self.folder / "base")
        if not self.tiny:
            full_size.with_true_features(base.processor, self.family.full_size)
        return base

    @cached_property
    def shape(self) -> PretrainedConfig:
        """The model's config in full."""
        if self.tiny:
            return self.base.tiny
        return full_size.true_config(self.base, self.family.model_type)

    @property
    def layers(self) -> int:
        return self.shape.text_config.num_hidden_layers

    @cached_property
    def weights_by_part(self) -> dict[str, int]:
        return count_weights(self.shape)

    def weights(self, layers: int) -> float:
        """With so many decoder layers."""
        decoder = self.weights_by_part["decoder"]
        return sum(self.weights_by_part.values()) - decoder * (1 - layers / self.layers)

    def with_layers(self, layers: int) -> PretrainedConfig:
        """The config with the first layers and the last one, as not every layer may be the last."""
        config = deepcopy(self.shape)
        if layers < self.layers:
            kept = [*range(layers - 1), self.layers - 1]
            self.family.keep_in_config(config.text_config, kept)
        return config

    def fitting_layers(self, needs: Callable[[int], float], share: float) -> int:
        """The most layers for which a share of the memory holds what they need, in bytes.

        Raises InputError if that is too few to measure anything.
        """
        for layers in range(self.layers, FEWEST_LAYERS - 1, -1):
            if needs(layers) <= share * self.memory:
                return layers
        raise InputError(
            f"{FEWEST_LAYERS} layers need {needs(FEWEST_LAYERS) / 1e9:.0f} GB, and the memory has "
            f"{self.memory / 1e9:.0f} GB"
        )

    def make(self, layers: int, dtype: torch.dtype) -> PreTrainedModel:
        config = self.with_layers(layers)
        return full_size.make_model(config, self.base.processor, dtype, self.device)

    def clips(self, count: int) -> list[Row]:
        self.folder.mkdir(exist_ok=True)
        longest = min(full_size.LONGEST, window_seconds(self.base.processor))
        return full_size.write_clips(self.folder, count, self.pair, longest)

    def of_all(self, layers: int) -> str:
        """What a line says if not all layers were tried."""
        return "" if layers == self.layers else f"; {layers} of {self.layers} layers fit"
