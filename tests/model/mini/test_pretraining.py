import pytest

from slimspeech_mini.grammar import Sentence
from slimspeech_mini.pretraining import (
    letters,
    train_decoder,
    train_encoder,
    train_joining,
    words,
)


def test_units_leave_out_punctuation():
    assert letters("A b, Z's.") == ["a", " ", "b", " ", "z", "'", "s"]
    assert words("Hi, we don't know.") == ["hi", "we", "don't", "know"]


def changes(model, before):
    return {name for name, weight in model.named_parameters() if not weight.equal(before[name])}


def weights_of(model):
    return {name: weight.clone() for name, weight in model.named_parameters()}


@pytest.mark.slow
def test_the_encoder_learns_words_and_nothing_else_changes(build, processor, rows):
    model = build(0)
    before = weights_of(model)
    spoken = [{**row, "source": word} for row, word in zip(rows, "abcdef", strict=True)]
    curve = train_encoder(
        model, processor, spoken, words, epochs=60, batch_size=6, learning_rate=5e-3, seed=0
    )
    assert [entry["step"] for entry in curve] == [50, 60]
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    changed = changes(model, before)
    assert changed
    assert all(name.startswith("model.audio_tower.") for name in changed)
    assert "model.audio_tower.embed_positions.weight" not in changed  # fixed sinusoids


@pytest.mark.slow
def test_the_decoder_learns_text_and_the_audio_side_stays(build, processor, prompt):
    model = build(0)
    before = weights_of(model)
    sentence = Sentence("Hello.", {"de": "Guten Tag.", "zh": "你好。"}, "greeting")
    curve = train_decoder(
        model,
        processor,
        iter(lambda: sentence, None),
        prompt,
        ["en-de", "en-zh"],
        steps=60,
        batch_size=4,
        learning_rate=5e-3,
        seed=0,
    )
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    changed = changes(model, before)
    assert "lm_head.weight" in changed
    assert not any("audio_tower" in name or "projector" in name for name in changed)


@pytest.mark.slow
def test_joining_moves_the_audio_side_towards_the_embeddings(build, processor, rows):
    model = build(0)
    before = weights_of(model)
    spoken = [{**row, "source": word} for row, word in zip(rows, "abcdef", strict=True)]
    curve = train_joining(
        model, processor, spoken, epochs=60, batch_size=6, learning_rate=5e-3, seed=0
    )
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert all("audio_tower" in n or "multi_modal_projector" in n for n in changes(model, before))
