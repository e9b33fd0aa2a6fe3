"""Each family by a tiny base model: every test here runs on all of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_families import MAKERS, write_base
from tiny_model import make_row, write_clip
from transformers import PreTrainedModel, ProcessorMixin, VoxtralProcessor

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.families.family import Family
from slimspeech.models.collation import Collator
from slimspeech.models.loading import load_for_inference, load_processor, publish_config
from slimspeech.models.prompts import Prompt

SECONDS = (0.51, 1.7, 0.96, 1.2)
TARGETS = ("Guten Tag.", "Das ist ein Satz.", "Ja!", "Vielen Dank, bis bald.")
REQUEST = "Translate the following speech into {target}."


@dataclass(frozen=True)
class Base:
    """A base model on disk and in memory, in fp32, with rows to translate and to learn."""

    directory: Path
    model: PreTrainedModel
    processor: ProcessorMixin
    family: Family
    prompt: Prompt
    rows: list[Row]

    @property
    def audio(self) -> list[np.ndarray]:
        return [read_audio(row["audio"]) for row in self.rows]

    def stock_features(self, audio: list[np.ndarray]) -> dict[str, torch.Tensor]:
        """Features by transformers' own code, as its processors make them."""
        extractor = self.processor.feature_extractor
        if self.family.model_type == "qwen2_audio":
            batch = extractor(
                audio,
                sampling_rate=16_000,
                padding="max_length",
                return_attention_mask=True,
                return_tensors="pt",
            )
            batch["feature_attention_mask"] = batch.pop("attention_mask")
            return dict(batch)
        if self.family.model_type == "voxtral":
            stock = VoxtralProcessor(extractor, self.processor.tokenizer)
            options = {**VoxtralProcessor.audio_kwargs}
            positions = options.pop("max_source_positions")
            return {"input_features": stock._retrieve_input_features(audio, positions, **options)}
        return dict(extractor(audio, return_tensors="pt"))

    def stock_inputs(self, audio: list[np.ndarray] | None = None) -> dict[str, torch.Tensor]:
        """Prompts padded on the left and features, for transformers' generate()."""
        audio = self.audio if audio is None else audio
        counts = self.family.token_counts(self.processor, [len(clip) for clip in audio])
        prompts = Collator(self.processor, self.prompt).prompts(["en-de"] * len(audio), counts)
        return {**prompts, **self.stock_features(audio)}


@pytest.fixture(scope="session", params=list(MAKERS))
def base(request, tmp_path_factory) -> Base:
    directory = tmp_path_factory.mktemp(request.param) / "base"
    family = families.by_type(request.param)
    system = None if family.model_type == "voxtral" else "You translate."
    prompt = Prompt(system=system, user=REQUEST, languages={})
    texts = [system or "", prompt.request("en-de"), *TARGETS]
    write_base(request.param, directory, texts)
    publish_config(directory)
    rows = []
    for number, (seconds, target) in enumerate(zip(SECONDS, TARGETS, strict=True)):
        audio = write_clip(directory.parent / f"{number}.wav", seconds, 200 * 1.5**number)
        rows.append(make_row(f"dev-{number}", audio, seconds, "en-de", target))
    model, processor = load_for_inference(directory, "fp32"), load_processor(directory)
    return Base(directory, model, processor, family, prompt, rows)


@pytest.fixture
def clips() -> list[np.ndarray]:
    """Tones in noise, of edges of frames and of windows."""
    noise = np.random.default_rng(0)
    return [
        (
            0.3 * np.sin(np.arange(count) / (20 + count % 7)) + 0.05 * noise.normal(size=count)
        ).astype(np.float32)
        for count in (640, 641, 799, 1000, 9000, 16_123)
    ]
