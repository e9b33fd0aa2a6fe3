"""What the tests of a tiny taught model share: its clips, its rows and its logits."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from settings import configured
from transformers import PreTrainedModel

from slimspeech.artifacts import Row
from slimspeech.data.audio import write_wav
from slimspeech.longform.segmentation import FRAME
from slimspeech.training.fine_tuning import LoraSettings, add_adapter

TARGETS = [
    ("en-de", "Guten Tag."),
    ("en-zh", "你好。"),
    ("en-de", "Das ist ein kleines Modell, das Sprache übersetzt."),
    ("en-zh", "这是一个很小的模型。"),
    ("en-de", "Vielen Dank!"),
    ("en-zh", "谢谢大家,我们下次再见。"),
]


def write_clip(path: Path, seconds: float, pitch: float) -> str:
    """A tone in noise: every clip sounds different, and the same at every run."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(int(pitch)).normal(size=len(time))
    write_wav(path, (0.3 * np.sin(2 * np.pi * pitch * time) + 0.02 * noise).astype(np.float32))
    return str(path)


class Loud:
    """A detector that stands for Silero's, to which tones are no speech."""

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return (np.abs(frames).max(axis=1) > 0.05).astype(np.float32)


def lay_out(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Clips with pauses of 3 s before and after each, beginning where a frame of a detector does:
    then a segment without padding is a clip and less than a frame of silence."""
    pause = np.zeros(94 * FRAME, np.float32)
    parts = [pause]
    for clip in clips:
        parts += [clip, np.zeros(-len(clip) % FRAME, np.float32), pause]
    return np.concatenate(parts)


def make_row(key: str, audio: str, seconds: float, pair: str, target: str) -> Row:
    return {
        "id": key,
        "talk": "1",
        "audio": audio,
        "duration": seconds,
        "source": "Hello.",
        "target": target,
        "pair": pair,
        "origin": "gold",
        "corpus": "acl6060",
    }


def adapted(model: PreTrainedModel, **settings: Any) -> PeftModel:
    """A random adapter on the 4-bit model, as large as training might make it."""
    model = add_adapter(model, configured(LoraSettings, **{"r": 4, "alpha": 8} | settings), seed=0)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(std=0.02)
    return model.eval()


@torch.inference_mode()
def logits(model: PreTrainedModel, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """Float32 logits at the positions that hold tokens, shape (tokens, vocabulary)."""
    found = model(**{key: value.to(model.device) for key, value in features.items()}).logits
    return found[features["attention_mask"].bool()].float()
