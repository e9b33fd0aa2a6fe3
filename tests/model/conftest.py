"""A Qwen2-Audio of real classes with 4 decoder layers, taught a handful of clips by heart."""

from collections.abc import Callable

import pytest
import torch
from settings import configured
from tiny_model import TARGETS, adapted, make_row, write_clip
from transformers import PreTrainedModel, ProcessorMixin, Trainer

from slimspeech.artifacts import Row
from slimspeech.families.whisper import allow_short
from slimspeech.generation.translation import GenerationSettings
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_model, save_model
from slimspeech.models.prompts import Prompt
from slimspeech.quantization.nf4 import nf4
from slimspeech.training.fine_tuning import TrainingSettings, fine_tune, save_adapter
from slimspeech_mini.model import build_model, build_processor

torch.set_num_threads(1)


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
        configured(TrainingSettings, epochs=90, batch_size=6, learning_rate=5e-3, precision="fp32"),
        seed=0,
        workspace=str(folder / "workspace"),
    )
    save_model(model, processor, folder / "model")
    return str(folder / "model"), curve


@pytest.fixture(scope="session")
def adapter(trained, tmp_path_factory) -> str:
    """Directory of a random adapter of the trained model."""
    directory = str(tmp_path_factory.mktemp("adapter"))
    save_adapter(adapted(load_model(trained[0], torch.bfloat16, nf4())), directory)
    return directory


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
    return GenerationSettings(batch_size=4, max_new_tokens=40, precision="fp32")


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
