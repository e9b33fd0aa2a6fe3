import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_model import make_row, write_clip

from slimspeech import families
from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.families.whisper import token_counts
from slimspeech.models import collation
from slimspeech.models.collation import (
    IGNORED,
    Collator,
    extract_features,
    listen,
    window_seconds,
)

END_OF_TURN = "<|im_end|>"


@pytest.fixture
def collator(processor, prompt):
    return Collator(processor, prompt)


def by_row(batch, key):
    """The values of a key without the padding, one list a row."""
    return [
        values[mask.bool()].tolist()
        for values, mask in zip(batch[key], batch["attention_mask"], strict=True)
    ]


def test_audio_reaches_the_batch(collator, rows):
    batch = collator(rows)
    # 80 mel bins, 100 frames a second, 4 frames behind the longest clip of 3 s
    assert batch["input_features"].shape == (6, 80, 304)
    frames = batch["feature_attention_mask"].sum(1).tolist()
    assert frames == [round(100 * row["duration"]) for row in rows]


def test_there_is_a_placeholder_for_each_vector_of_the_encoder(collator, rows, processor, model):
    batch = collator(rows)
    placeholders = (batch["input_ids"] == processor.audio_token_id).sum(1)
    # 25 a second, as published for Qwen2-Audio
    assert placeholders.tolist() == [int(25 * row["duration"]) for row in rows]
    frames = batch["feature_attention_mask"].sum(-1)
    _, lengths = model.model.audio_tower._get_feat_extract_output_lengths(frames)
    assert placeholders.tolist() == lengths.tolist()


def test_only_the_answer_and_its_end_have_labels(collator, rows, processor):
    batch = collator(rows)
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORED).all()
    for row, ids, labels in zip(
        rows, by_row(batch, "input_ids"), by_row(batch, "labels"), strict=True
    ):
        kept = [label for label in labels if label != IGNORED]
        assert processor.tokenizer.decode(kept) == row["target"] + END_OF_TURN
        assert ids[-len(kept) :] == kept  # nothing follows the answer
        assert processor.audio_token_id not in kept
        assert set(labels[: -len(kept)]) == {IGNORED}


def test_training_continues_the_tokens_that_generation_is_given(collator, rows):
    trained = [
        [i for i, label in zip(ids, labels, strict=True) if label == IGNORED]
        for ids, labels in zip(
            by_row(collator(rows), "input_ids"), by_row(collator(rows), "labels"), strict=True
        )
    ]
    counts = [int(25 * row["duration"]) for row in rows]
    prompts = collator.prompts([row["pair"] for row in rows], counts)
    assert trained == by_row(prompts, "input_ids")
    # left-padded: every prompt ends where generation starts
    assert prompts["attention_mask"][:, -1].all() and not prompts["attention_mask"][:, 0].all()


def test_prompts_and_features_are_the_processors(collator, rows, processor, prompt):
    audio = [read_audio(row["audio"]) for row in rows]
    theirs = processor(
        text=[prompt.render(processor, row["pair"]) for row in rows],
        audio=audio,
        sampling_rate=16_000,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    ours = extract_features(processor, audio)
    prompts = collator.prompts(
        [row["pair"] for row in rows], token_counts(ours["feature_attention_mask"]).tolist()
    )
    assert torch.equal(prompts["input_ids"], theirs["input_ids"])
    assert torch.equal(prompts["attention_mask"], theirs["attention_mask"])
    frames = ours["input_features"].shape[-1]
    assert torch.equal(ours["input_features"], theirs["input_features"][..., :frames])
    assert not theirs["feature_attention_mask"][:, frames:].any()
    assert torch.equal(ours["feature_attention_mask"], theirs["feature_attention_mask"][:, :frames])


def test_kept_features_are_those_computed_anew(processor, prompt, rows, monkeypatch):
    """The same bits in every batch; features are kept only up to the limit."""
    one = rows[0]
    [features] = Collator(processor, prompt)([one])["input_features"]
    window = processor.feature_extractor.nb_max_frames
    keeping = Collator(processor, prompt, keep=int(2.5 * 4 * window * len(features)))
    mixed = [rows[2], rows[0], rows[2], rows[1]]
    keeping(mixed)
    read = []
    monkeypatch.setattr(
        "slimspeech.models.collation.read_audio",
        lambda path, rate, **options: read.append(path) or read_audio(path, rate, **options),
    )
    batch = keeping(mixed[::-1])
    assert read == [rows[1]["audio"]]
    expected = Collator(processor, prompt)(mixed[::-1])
    assert all(torch.equal(batch[name], expected[name]) for name in expected)


def test_target_is_stripped(collator, rows, processor):
    row = {**rows[0], "target": "  Guten Tag. \n"}
    kept = [label for label in by_row(collator([row]), "labels")[0] if label != IGNORED]
    assert processor.tokenizer.decode(kept) == "Guten Tag." + END_OF_TURN


@torch.no_grad()
def test_padding_does_not_change_the_loss(collator, rows, build):
    model = build(1)
    batch = collator(rows)
    assert not batch["attention_mask"].all()
    together = model(**batch).loss.item()
    alone = [collator([row]) for row in rows]
    tokens = [(b["labels"] != IGNORED).sum().item() for b in alone]
    losses = [model(**b).loss.item() for b in alone]
    assert together == pytest.approx(np.average(losses, weights=tokens), rel=1e-5)


@pytest.mark.parametrize("token", ["<|endoftext|>", END_OF_TURN])
def test_pad_token_may_be_one_that_ends_answers(token, processor, prompt, rows):
    padding = copy.deepcopy(processor)
    padding.tokenizer.pad_token = token
    padding.tokenizer.eos_token = token
    assert padding.tokenizer.pad_token_id == padding.tokenizer.eos_token_id
    batch, usual = Collator(padding, prompt)(rows), Collator(processor, prompt)(rows)
    assert torch.equal(batch["labels"], usual["labels"])
    assert torch.equal(batch["attention_mask"], usual["attention_mask"])
    last = [ids[-1] for ids in by_row(batch, "input_ids")]
    assert set(last) == {processor.tokenizer.convert_tokens_to_ids(END_OF_TURN)}


def test_pairs_of_a_batch_have_their_own_prompts(collator, rows, processor):
    texts = [processor.tokenizer.decode(ids) for ids in by_row(collator(rows), "input_ids")]
    assert ["into German:" in text for text in texts] == [r["pair"] == "en-de" for r in rows]
    assert ["into Chinese:" in text for text in texts] == [r["pair"] == "en-zh" for r in rows]


def test_clip_longer_than_the_window_is_refused(collator, tmp_path):
    assert window_seconds(collator.processor) == 6
    fits = write_clip(tmp_path / "fits.wav", 6.0, 440)
    collator([make_row("fits", fits, 6.0, "en-de", "Ja.")])
    long = write_clip(tmp_path / "long.wav", 6.1, 440)
    with pytest.raises(InputError, match=r"6\.10 s and the model reads 6 s"):
        collator([make_row("long", long, 6.1, "en-de", "Ja.")])


def test_other_sampling_rates_are_resampled(collator, tmp_path):
    import soundfile

    time = np.arange(44_100) / 44_100
    soundfile.write(tmp_path / "44.wav", 0.3 * np.sin(2 * np.pi * 440 * time), 44_100)
    batch = collator([make_row("a", str(tmp_path / "44.wav"), 1.0, "en-de", "Ja.")])
    assert batch["feature_attention_mask"].sum() == 100


def test_a_gpu_hears_a_few_clips_at_a_time(model, processor, rows, monkeypatch):
    """A batch may have thousands of clips, and no one counts the encoder's memory."""
    sizes, usual = [], families.QWEN2_AUDIO.encode

    class OnGpu:
        config, device = model.config, torch.device("cuda")

    def encode(_, features, tokens):
        sizes.append(len(tokens))
        return usual(model, features, tokens)

    audio = [read_audio(row["audio"]) for row in rows]
    expected = listen(model, processor, audio)
    spied = replace(families.QWEN2_AUDIO, encode=encode)
    monkeypatch.setitem(families.FAMILIES, "qwen2_audio", spied)
    monkeypatch.setattr(collation, "LISTENED_ON_GPU", 4)
    for ours, theirs in zip(listen(OnGpu, processor, audio), expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert sizes == [4, 2]
