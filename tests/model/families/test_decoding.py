"""The engine against transformers: prune a copy, call generate(), compare the tokens."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from slimspeech.errors import InputError
from slimspeech.generation.greedy import decode
from slimspeech.generation.translation import GenerationSettings, rows_that_fit, translate
from slimspeech.models.collation import Collator, listen
from slimspeech.models.decoder import embed_prompts
from slimspeech.pruning.layers import keep_layers

CASES = [
    (range(8), [None]),
    (range(8), [1, 2, 3, 4, 5, 6]),
    ([0, 2, 3, 6, 7], [3, None, 2]),
    ([3, 7], [None]),
]


def ends(base):
    """Any of these ends a row, so that rows end at different steps."""
    return list(range(0, base.model.config.text_config.vocab_size, 23))


def generated(base, kept, inputs, new, suppressed=None):
    pruned = deepcopy(base.model)
    keep_layers(pruned, kept)
    stops = ends(base)
    pruned.generation_config.suppress_tokens = None
    tokens = pruned.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=new,
        eos_token_id=stops,
        pad_token_id=0,
        suppress_tokens=suppressed,
    )
    rows = tokens[:, inputs["input_ids"].shape[1] :].tolist()
    first = [next((i for i, token in enumerate(row) if token in stops), new) for row in rows]
    return [row[:end] for row, end in zip(rows, first, strict=True)]


def decoded(base, kept, missing, audio, new, suppressed=()):
    embeddings = listen(base.model, base.processor, audio)
    counts = [len(clip) for clip in embeddings]
    batch = Collator(base.processor, base.prompt).prompts(["en-de"] * len(audio), counts)
    return decode(
        base.model,
        kept,
        missing,
        embed_prompts(base.model, batch["input_ids"], embeddings),
        batch["attention_mask"],
        max_new_tokens=new,
        end_tokens=ends(base),
        suppressed=suppressed,
    )


@pytest.mark.parametrize("kept, missing", CASES)
def test_tokens_are_those_of_pruning_and_generating(base, kept, missing):
    """Prompts are longer than the sliding window of 8 positions, of families that have one."""
    kept, inputs = list(kept), base.stock_inputs()
    stacks = [[layer for layer in kept if layer != gone] for gone in missing]
    expected = [generated(base, stack, inputs, 24) for stack in stacks]
    assert decoded(base, kept, missing, base.audio, 24) == expected
    if len(kept) == 8:  # fewer random layers may say the same of every clip
        assert len({tuple(row) for rows in expected for row in rows}) > len(missing)


def test_suppressed_tokens_are_never_chosen(base):
    [plain] = decoded(base, list(range(8)), [None], base.audio, 12)
    suppressed = sorted({token for row in plain for token in row})[:5]
    expected = generated(base, range(8), base.stock_inputs(), 12, suppressed)
    assert decoded(base, list(range(8)), [None], base.audio, 12, suppressed) == [expected]
    assert expected != plain


def test_a_placeholder_that_the_model_generates_is_embedded_as_the_model_does(base):
    """With the cache, as generate() runs it."""
    speaking = deepcopy(base.model)
    token, states = speaking.config.audio_token_id, speaking.config.text_config.hidden_size
    head = torch.nn.Linear(states, speaking.lm_head.out_features)
    with torch.no_grad():
        head.weight.copy_(speaking.lm_head.weight)
        head.bias.zero_()
        head.bias[token] = 4 * speaking.lm_head.weight.norm(dim=1).mean()
    speaking.lm_head = head
    changed = deepcopy(base.__dict__) | {"model": speaking}
    other = type(base)(**changed)
    expected = generated(other, range(8), other.stock_inputs(), 8)
    assert any(token in row for row in expected)
    assert decoded(other, list(range(8)), [None], other.audio, 8) == [expected]


def test_rows_that_end_first_leave_the_others_alone(base):
    missing = [None, 2, 5]
    together = decoded(base, list(range(8)), missing, base.audio, 20)
    for number, clip in enumerate(base.audio):
        alone = decoded(base, list(range(8)), missing, [clip], 20)
        assert [variant[0] for variant in alone] == [variant[number] for variant in together]


def test_logits_that_are_no_numbers_are_an_error(base):
    broken = deepcopy(base.model)
    broken.get_decoder().norm.weight.data[3] = float("nan")
    with pytest.raises(RuntimeError, match="not numbers"):
        decoded(type(base)(**base.__dict__ | {"model": broken}), [0, 7], [None], base.audio[:1], 2)


def test_embeddings_alone_and_together_are_what_the_model_hears(base):
    inputs, caught = base.stock_inputs(), []
    hook = (
        base.model.get_decoder()
        .layers[0]
        .register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
    )
    with torch.inference_mode():
        base.model(**inputs, use_cache=False)
    hook.remove()
    placeholders = inputs["input_ids"] == base.model.config.audio_token_id
    together = listen(base.model, base.processor, base.audio)
    for number, clip in enumerate(base.audio):
        heard = caught[0][number][placeholders[number]]
        [alone] = listen(base.model, base.processor, [clip])
        assert heard.shape == alone.shape == together[number].shape
        assert torch.allclose(together[number], heard, atol=1e-4)
        assert torch.allclose(alone, heard, atol=1e-4)


def test_audio_of_several_chunks_is_heard_whole(base):
    if not base.family.padded_to:
        pytest.skip("its window is one piece")
    clip = (0.3 * np.sin(np.arange(31 * 16_000) / 20)).astype(np.float32)
    audio = [clip, base.audio[0]]
    expected = generated(base, range(8), base.stock_inputs(audio), 6)
    assert decoded(base, list(range(8)), [None], audio, 6) == [expected]
    features = base.family.join(base.family.features(base.processor, audio))
    assert features["input_features"].shape[0] == 3


def test_clips_longer_than_the_window_are_refused(base, monkeypatch):
    window = base.family.window_seconds or base.processor.feature_extractor.n_samples / 16_000
    with pytest.raises(InputError, match="the model reads"):
        listen(base.model, base.processor, [np.zeros(int(window * 16_000) + 1, np.float32)])


def test_translations_are_those_of_stock_generate(base):
    """By generation_config.json alone, but for sampling, and the cap of new tokens."""
    settings = GenerationSettings(batch_size=3, max_new_tokens=16, precision="fp32")
    own = translate(base.model, base.processor, base.rows, base.prompt, settings)
    for clip, text in zip(base.audio, own, strict=True):
        inputs = base.stock_inputs([clip])
        tokens = base.model.generate(**inputs, do_sample=False, max_new_tokens=16)
        answer = tokens[0, inputs["input_ids"].shape[1] :]
        stock = base.processor.tokenizer.decode(answer, skip_special_tokens=True)
        assert text == " ".join(stock.split())
    assert len(set(own)) > 1


def test_cache_is_as_large_as_estimated(base):
    """Against the bytes of transformers' cache of one row, by rows_that_fit()'s count."""
    inputs = base.stock_inputs(base.audio[:1])
    with torch.inference_mode():
        cache = base.model(**inputs, use_cache=True).past_key_values
    position = sum(
        tensor.shape[1] * tensor.shape[3]
        for layer in cache.layers
        for tensor in (layer.keys, layer.values)
    )
    keys = [layer.self_attn.k_proj.out_features for layer in base.model.get_decoder().layers]
    assert 2 * sum(keys) == position
    assert rows_that_fit(base.model, 60, 40, range(8), [None]) >= 1
