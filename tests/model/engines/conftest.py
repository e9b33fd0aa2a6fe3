"""Spoken sentences, what our own code makes of them, and exports of the mini base model."""

from pathlib import Path

import pytest
import torch
from project import REPOSITORY
from tiny_model import make_row

from slimspeech.artifacts import Row
from slimspeech.data.audio import write_wav
from slimspeech.engines.batch import batch, hypotheses, prompts, read_batch
from slimspeech.evaluation.parity import compare_words
from slimspeech.generation.embeddings import Clip, read_clips
from slimspeech.generation.translation import GenerationSettings, translate
from slimspeech.models.loading import load_model, load_processor
from slimspeech.release.export import export
from slimspeech.release.rounding import Rounding, round_export
from slimspeech_mini.speech import speak, voices

BASE = REPOSITORY / "resources" / "mini" / "base"
PAIR = "en-de"
SENTENCES = [
    f"{subject} {verb} the {thing}."
    for subject in ("We", "The researchers", "My colleagues", "You", "They")
    for verb, thing in (
        ("measure", "language model"),
        ("describe", "translation"),
        ("compare", "results"),
        ("train", "system"),
    )
]
LIMIT = 48


@pytest.fixture(scope="session")
def spoken(tmp_path_factory) -> list[Row]:
    """20 clips. Their references are our own words, so our own score is 100."""
    folder = tmp_path_factory.mktemp("spoken")
    rows = []
    for number, (text, voice) in enumerate(zip(SENTENCES, voices(0, len(SENTENCES)), strict=True)):
        audio = speak(text, voice)
        write_wav(folder / f"{number}.wav", audio)
        seconds = len(audio) / 16_000
        rows.append(make_row(f"clip-{number}", f"{folder}/{number}.wav", seconds, PAIR, ""))
    return rows


@pytest.fixture(scope="session")
def own(spoken, prompt) -> list[Row]:
    settings = GenerationSettings(batch_size=20, max_new_tokens=LIMIT, precision="fp32")
    model, processor = load_model(BASE, torch.float32), load_processor(BASE)
    texts = translate(model, processor, spoken, prompt, settings)
    assert len(set(texts)) > 10
    return [{"id": row["id"], "hypothesis": text} for row, text in zip(spoken, texts, strict=True)]


@pytest.fixture(scope="session")
def clips(spoken) -> list[Clip]:
    return read_clips(spoken, load_processor(BASE))


@pytest.fixture(scope="session")
def requests(clips, prompt) -> list[Row]:
    return batch(clips, 16_000, prompt, LIMIT)


@pytest.fixture(scope="session")
def compare(clips, spoken, own, prompt):
    """The parity file of an engine's responses to the requests."""

    def parity(engine: Row, form: str, responses: list[Row]) -> Row:
        asked = prompts(clips, load_processor(BASE), prompt)
        answers = read_batch(responses, len(clips))
        rows = hypotheses(answers, asked, spoken)
        segments = [
            row | {"target": ours["hypothesis"]} for row, ours in zip(spoken, own, strict=True)
        ]
        compared = compare_words(PAIR, segments, own, rows, answers, asked)
        return engine | {"form": form} | compared

    return parity


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    export(BASE, folder / "bf16")
    for form in ("int8", "w4a16"):
        round_export(folder / "bf16", folder / form, Rounding(form, group=32))
    return {form: folder / form for form in ("bf16", "int8", "w4a16")}
