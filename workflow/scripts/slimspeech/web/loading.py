"""Loads each served model at its first use, and keeps it."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import torch

from slimspeech.data.audio import SAMPLING_RATE
from slimspeech.longform.segmentation import Segment, SegmentationSettings, segment
from slimspeech.longform.subtitles import Utterance
from slimspeech.longform.translator import Translator
from slimspeech.web.models import ServedModel

logger = logging.getLogger(__name__)

# Seconds of speech translated together: fewer than on the command line, to show results earlier.
BATCH_SECONDS_CPU, BATCH_SECONDS_GPU = 15, 60


@dataclass(frozen=True)
class LoadedModel:
    translator: Translator
    segmentation: SegmentationSettings

    def translate(self, path: Path, name: str) -> Iterator[Utterance]:
        """As Translator.translate."""
        seconds = BATCH_SECONDS_GPU if self.translator.on_gpu else BATCH_SECONDS_CPU
        return self.translator.translate(path, self.segmentation, name, seconds)


class Models:
    """The models by id. load: loads one model. segmentation: of the audio, for all models."""

    def __init__(
        self,
        models: Iterable[ServedModel],
        load: Callable[[ServedModel], Translator],
        segmentation: SegmentationSettings,
    ) -> None:
        self._models = {model.id: model for model in models}
        self._load = load
        self._segmentation = segmentation
        self._loaded: dict[str, LoadedModel] = {}

    def is_loaded(self, model: str) -> bool:
        return model in self._loaded

    def load(self, model: str) -> LoadedModel:
        """Raises InputError as Translator.load."""
        if model not in self._loaded:
            start = time.perf_counter()
            translator = self._load(self._models[model])
            _warm_up(translator)
            self._loaded[model] = LoadedModel(translator, self._segmentation)
            seconds = time.perf_counter() - start
            logger.info("%s loaded in %.1f s; %s", model, seconds, _memory())
        return self._loaded[model]


def _warm_up(translator: Translator) -> None:
    """The first run includes imports and kernels, which are not part of a model's speed."""
    second = np.zeros(SAMPLING_RATE, dtype=np.float32)
    list(segment([second], SegmentationSettings()))
    brief = replace(translator, settings=replace(translator.settings, max_new_tokens=1))
    list(brief.translate_segments([Segment(0, 1, second)]))


def _memory() -> str:
    resident = psutil.Process().memory_info().rss
    text = f"the process uses {resident / 1e9:.2f} GB of memory"
    if torch.cuda.is_available():
        text += f" and {torch.cuda.memory_allocated() / 1e9:.2f} GB of GPU memory"
    return text
