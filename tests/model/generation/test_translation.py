import weakref
from functools import partial

import numpy as np
import pytest
import torch
from tiny_model import make_row

from slimspeech.data.audio import write_wav
from slimspeech.generation import translation
from slimspeech.generation.embeddings import read_clips
from slimspeech.generation.translation import (
    GenerationSettings,
    translate,
    translate_timed,
    translate_variants,
)
from slimspeech.models.collation import extract_features


@pytest.mark.parametrize("batch_size", [1, 4, 6])
@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [4, 2, 0, 5, 1, 3]])
def test_neither_order_nor_batch_size_matters(order, batch_size, model, processor, rows, prompt):
    settings = GenerationSettings(batch_size, max_new_tokens=40, precision="fp32")
    found = translate(model, processor, [rows[i] for i in order], prompt, settings)
    assert found == [rows[i]["target"] for i in order]


def test_untrained_model_too_is_independent_of_padding(build, processor, rows, prompt):
    """What the model by heart cannot show: no near ties are won by luck of the batch."""
    model = build(3)
    one = translate(model, processor, rows, prompt, GenerationSettings(1, 8, "fp32"))
    six = translate(model, processor, rows[::-1], prompt, GenerationSettings(6, 8, "fp32"))
    assert one == six[::-1]


@pytest.mark.parametrize(
    "own", [{"do_sample": True, "temperature": 9.0, "top_k": 0}, {"repetition_penalty": 5.0}]
)
def test_decoding_settings_of_the_checkpoint_are_not_used(own, build, processor, rows, prompt):
    """A checkpoint may come with sampling or a repetition penalty; the paper has neither."""
    model, settings = build(3), GenerationSettings(6, 12, "fp32")
    greedy = translate(model, processor, rows, prompt, settings)
    model.generation_config.update(**own)
    assert translate(model, processor, rows, prompt, settings) == greedy


def test_cap_counts_new_tokens_only(model, processor, rows, prompt):
    tokenizer = processor.tokenizer
    capped = translate(model, processor, rows[2:3], prompt, GenerationSettings(1, 3, "fp32"))
    expected = tokenizer.decode(tokenizer(rows[2]["target"]).input_ids[:3])
    assert capped == [expected]


def says(monkeypatch, tokens):
    """Let the decoder say the same tokens for every clip and variant."""

    def decode(model, kept, missing, embeddings, *_, **__):
        return [[tokens] * len(embeddings) for _ in missing]

    monkeypatch.setattr(translation, "decode", decode)


def test_hypotheses_may_be_empty(model, processor, rows, prompt, greedy, monkeypatch):
    says(monkeypatch, [])
    assert translate(model, processor, rows, prompt, greedy) == [""] * 6


def test_line_breaks_and_runs_of_spaces_become_one_space(
    model, processor, rows, prompt, greedy, monkeypatch
):
    says(monkeypatch, processor.tokenizer(" Guten \n\n Tag. ").input_ids)
    assert translate(model, processor, rows[:1], prompt, greedy) == ["Guten Tag."]


def test_memory_that_runs_out_halves_the_batch(model, processor, rows, prompt, greedy, monkeypatch):
    sizes, usual = [], translation.decode

    def decode(model, kept, missing, embeddings, *arguments, **options):
        sizes.append(len(embeddings))
        if len(embeddings) > 1:
            raise torch.OutOfMemoryError
        return usual(model, kept, missing, embeddings, *arguments, **options)

    monkeypatch.setattr(translation, "decode", decode)
    found = translate(model, processor, rows, prompt, greedy)
    assert found == [row["target"] for row in rows]
    assert sizes == [4, 2, 1, 1, 1, 1, 1, 1]


def test_memory_is_freed_when_nothing_holds_the_failed_try(
    model, processor, rows, prompt, greedy, monkeypatch
):
    held, freed, usual = [], [], translation.decode

    def decode(model, kept, missing, embeddings, *arguments, **options):
        if len(embeddings) > 1:
            activations = embeddings + 1
            held.append(weakref.ref(activations))
            raise torch.OutOfMemoryError
        return usual(model, kept, missing, embeddings, *arguments, **options)

    monkeypatch.setattr(translation, "decode", decode)
    monkeypatch.setattr(translation, "free_memory", lambda: freed.append(held[-1]() is None))
    translate(model, processor, rows[:2], prompt, greedy)
    assert freed == [True]


def test_variants_of_one_clip_that_do_not_fit_are_decoded_apart(
    build, processor, rows, prompt, monkeypatch
):
    model, usual, sizes = build(3), translation.decode, []
    settings = GenerationSettings(64, 12, "fp32")
    clips = read_clips(rows, processor)

    def decode(model, kept, missing, embeddings, *arguments, **options):
        sizes.append(len(missing) * len(embeddings))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError
        return usual(model, kept, missing, embeddings, *arguments, **options)

    expected = translate_variants(model, processor, clips, prompt, settings, range(4), [1, 2, None])
    monkeypatch.setattr(translation, "decode", decode)
    found = translate_variants(model, processor, clips, prompt, settings, range(4), [1, 2, None])
    assert found == expected
    # 6 clips of 3 variants, halved until one hypothesis is decoded at a time
    assert sizes == [18, 9, 3] + 18 * [1]


def test_memory_too_small_for_one_hypothesis_is_an_error(
    model, processor, rows, prompt, greedy, monkeypatch
):
    def decode(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(translation, "decode", decode)
    with pytest.raises(torch.OutOfMemoryError):
        translate(model, processor, rows, prompt, greedy)


def test_the_batch_is_as_large_as_the_free_memory(model, processor, rows, prompt, monkeypatch):
    class Memory:
        available = 0

    monkeypatch.setattr(translation.psutil, "virtual_memory", lambda: Memory)
    fit = partial(translation.rows_that_fit, model, 60, 40)
    assert fit(range(4), [None]) == 1
    Memory.available = 10_000_000
    # 4 layers and 2 to spare, keys and values of the model's width, states of 6 widths and 3 of
    # the feed-forward layer, in fp32; logits twice in fp32; a fifth left alone
    config = model.get_decoder().config
    width, inner = config.hidden_size, config.intermediate_size
    row = 100 * 4 * (2 * width * 6 + 6 * width + 3 * inner) + 8 * config.vocab_size
    assert fit(range(4), [None]) == 8_000_000 // row > 1
    # Of two variants layers 0 to 2 hold a prompt once, layer 3 twice.
    row = 60 * 4 * (2 * width * (5 / 2 + 2) + (6 * width + 3 * inner) / 2 + width / 2)
    row += 40 * 4 * (2 * width * 6 + 6 * width + 3 * inner) + 8 * config.vocab_size
    assert fit(range(4), [1, 2]) == int(8_000_000 // row)
    Memory.available = 10**12
    assert fit(range(4), [None]) == translation.ROWS_CPU
    found = translate(model, processor, rows, prompt, GenerationSettings("auto", 40, "fp32"))
    assert found == [row["target"] for row in rows]


@pytest.mark.parametrize("pair, joined", [("en-de", "1 2 3"), ("en-zh", "123")])
def test_long_clip_is_cut_and_its_parts_joined_in_order(
    pair, joined, processor, prompt, tmp_path, monkeypatch
):
    """A clip of 14 s in a model of 6 s: three parts, the loudness tells which is which."""
    loudness = np.repeat([0.1, 0.2, 0.3], [80_000, 64_000, 80_000])
    audio = loudness * np.sign(np.sin(np.arange(224_000)))
    audio[79_000:81_000] = audio[143_000:145_000] = 0  # the pauses to cut in
    write_wav(tmp_path / "long.wav", audio)
    write_wav(tmp_path / "short.wav", 0.4 * np.ones(16_000))
    rows = [
        make_row("short", str(tmp_path / "short.wav"), 1.0, pair, ""),
        make_row("long", str(tmp_path / "long.wav"), 14.0, pair, ""),
    ]

    def tell(model, collator, clips, settings, kept, groups):
        assert all(clip.pair == pair for clip in clips)
        extract_features(processor, [clip.audio for clip in clips])  # refuses what is too long
        return [[str(round(10 * float(np.abs(clip.audio).max())))] for clip in clips]

    monkeypatch.setattr(translation, "_generate", tell)
    clips = read_clips(rows, processor)
    [found] = translate_variants(
        None,
        processor,
        clips,
        prompt,
        GenerationSettings(3, 8, "fp32"),
        [0],
        [None],
    )
    assert found == ["4", joined]


def test_silent_parts_leave_no_spaces(processor, prompt, tmp_path, monkeypatch):
    write_wav(tmp_path / "long.wav", np.zeros(16_000 * 17))
    rows = [make_row("long", str(tmp_path / "long.wav"), 17.0, "en-de", "")]
    monkeypatch.setattr(translation, "_generate", lambda *_: [["Guten"], [""], ["Tag."]])
    clips = read_clips(rows, processor)
    [found] = translate_variants(
        None,
        processor,
        clips,
        prompt,
        GenerationSettings(3, 8, "fp32"),
        [0],
        [None],
    )
    assert found == ["Guten Tag."]


def test_a_clip_of_less_than_an_audio_token_has_no_text(
    model, processor, rows, prompt, greedy, tmp_path, caplog
):
    brief = []
    for samples in (1, 320):
        path = str(tmp_path / f"{samples}.wav")
        write_wav(path, 0.1 * np.ones(samples))
        brief.append(make_row(str(samples), path, 0.0, "en-de", ""))
    texts = translate(model, processor, [brief[0], *rows, brief[1]], prompt, greedy)
    assert texts == ["", *(row["target"] for row in rows), ""]
    assert "shorter than one audio token: 2" in caplog.text


def test_long_clip_through_the_model(model, processor, prompt, tmp_path):
    write_wav(tmp_path / "long.wav", 0.1 * np.sin(np.arange(16_000 * 7)))
    rows = [make_row("long", str(tmp_path / "long.wav"), 7.0, "en-de", "")]
    assert len(translate(model, processor, rows, prompt, GenerationSettings(2, 3, "fp32"))) == 1


def test_timed_rows_keep_their_ids(model, processor, rows, prompt, greedy):
    found, cost = translate_timed(model, processor, rows, prompt, greedy)
    assert found == [{"id": row["id"], "hypothesis": row["target"]} for row in rows]
    assert cost["audio_seconds"] == 10.5 and cost["clips"] == 6
    assert cost["seconds"] > 0 and cost["dtype"] == "float32"
