"""A Qwen2-Audio of real classes with 4 decoder layers, taught a handful of clips by heart."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, ProcessorMixin, Trainer

from slimspeech.artifacts import Row
from slimspeech.audio import write_wav
from slimspeech.collation import Collator
from slimspeech.encoder import allow_short
from slimspeech.generation import GenerationSettings
from slimspeech.mini.model import build_model, build_processor
from slimspeech.prompts import Prompt
from slimspeech.qwen2audio import load_model, save_model
from slimspeech.speech_detection import FRAME
from slimspeech.training import TrainingSettings, fine_tune

torch.set_num_threads(1)

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


@pytest.fixture(scope="session")
def prompt() -> Prompt:
    return Prompt(
        system="You are a professional translator.",
        user="Translate the {source} speech into {target}:",
        languages={},
    )


@pytest.fixture(scope="session")
def rows(tmp_path_factory) -> list[Row]:
    """Six clips of 0.5 to 3 s, German and Chinese in turn, not ordered by length."""
    folder = tmp_path_factory.mktemp("clips")
    found = []
    for number, (pair, target) in enumerate(TARGETS):
        seconds = 0.5 * (1 + (number * 5 + 2) % 6)
        audio = write_clip(folder / f"{number}.wav", seconds, 200 * 1.5**number)
        found.append(make_row(f"dev-{number}", audio, seconds, pair, target))
    return found


@pytest.fixture(scope="session")
def processor(prompt) -> ProcessorMixin:
    texts = [f"{prompt.system}\n{prompt.request(pair)}\n{target}" for pair, target in TARGETS]
    return build_processor(texts, vocabulary=400)


@pytest.fixture(scope="session")
def build(processor) -> Callable[[int], PreTrainedModel]:
    """Makes an untrained model from a seed."""

    def make(seed: int) -> PreTrainedModel:
        model = build_model(processor, seed=seed, decoder_layers=4, width=64, audio_layers=1)
        return allow_short(model).eval()

    return make


@pytest.fixture(scope="session")
def trained(build, processor, rows, prompt, tmp_path_factory) -> tuple[str, list[dict]]:
    """Directory of a float32 model that knows the rows by heart, and its training curve."""
    folder = tmp_path_factory.mktemp("trained")
    model = build(0)
    curve = fine_tune(
        model,
        processor,
        rows,
        [],
        prompt,
        TrainingSettings(epochs=90, batch_size=6, learning_rate=5e-3, precision="fp32"),
        seed=0,
        workspace=str(folder / "workspace"),
    )
    save_model(model, processor, folder / "model")
    return str(folder / "model"), curve


@pytest.fixture
def model(trained) -> PreTrainedModel:
    """The trained model in float32, a fresh copy for each test."""
    return load_model(trained[0], torch.float32)


@pytest.fixture
def features(processor, prompt, rows) -> dict[str, torch.Tensor]:
    """One training batch: prompts, answers and audio of four rows."""
    return Collator(processor, prompt)(rows[:4])


@pytest.fixture(scope="session")
def greedy() -> GenerationSettings:
    return GenerationSettings(batch_size=4, max_new_tokens=40)


@torch.inference_mode()
def logits(model: PreTrainedModel, features: dict[str, torch.Tensor]) -> torch.Tensor:
    """Float32 logits at the positions that hold tokens, shape (tokens, vocabulary)."""
    found = model(**{key: value.to(model.device) for key, value in features.items()}).logits
    return found[features["attention_mask"].bool()].float()


@pytest.fixture
def interrupt() -> Callable[[pytest.MonkeyPatch, int], None]:
    """Have the next training killed in its micro-batch of that number, counted from 1."""

    def arrange(monkeypatch, number):
        counted, usual = iter(range(1, 1000)), Trainer.training_step

        def training_step(self, *arguments, **options):
            if next(counted) == number:
                raise KeyboardInterrupt
            return usual(self, *arguments, **options)

        monkeypatch.setattr(Trainer, "training_step", training_step)

    return arrange
