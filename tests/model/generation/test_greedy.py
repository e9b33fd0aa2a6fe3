"""The engine against plain transformers: prune a copy, call `generate`, compare the tokens."""

from collections import Counter
from copy import deepcopy

import numpy as np
import pytest
import torch
from transformers import Qwen2AudioForConditionalGeneration

from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.families.whisper import encode
from slimspeech.generation import prompt_pass
from slimspeech.generation.caches import LayerCache
from slimspeech.generation.greedy import copies_of_prompts, decode
from slimspeech.models.collation import Collator, extract_features
from slimspeech.models.decoder import embed_prompts
from slimspeech.pruning.layers import keep_layers
from slimspeech_mini.model import build_model

END = list(range(0, 400, 23))  # any of these ends a row, so that rows end at different steps


@pytest.fixture(scope="module")
def wild(processor):
    """Eight random layers, wild enough that each clip and each missing layer is heard."""
    model = build_model(processor, seed=1, decoder_layers=8, width=64, audio_layers=2).eval()
    torch.manual_seed(5)
    for weight in model.parameters():
        weight.data += 0.15 * torch.randn_like(weight) * (weight.dim() > 1)
    return model


def plain_inputs(processor, prompt, rows):
    """What transformers' own encoder asks for: features of the whole window."""
    return processor(
        text=[prompt.render(processor, row["pair"]) for row in rows],
        audio=[read_audio(row["audio"]) for row in rows],
        sampling_rate=16_000,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )


def reference(model, kept, inputs, max_new_tokens):
    pruned = deepcopy(model)
    keep_layers(pruned, kept)
    tokens = pruned.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=END,
        pad_token_id=0,
    )
    found = []
    for row in tokens[:, inputs["input_ids"].shape[1] :].tolist():
        ends = [place for place, token in enumerate(row) if token in END]
        found.append(row[: ends[0]] if ends else row)
    return found


def listened(model, processor, rows):
    features = extract_features(processor, [read_audio(row["audio"]) for row in rows])
    return encode(model, features["input_features"], features["feature_attention_mask"])


def run(model, processor, prompt, rows, kept, missing, max_new_tokens):
    audio = listened(model, processor, rows)
    batch = Collator(processor, prompt).prompts([row["pair"] for row in rows], map(len, audio))
    return decode(
        model,
        kept,
        missing,
        embed_prompts(model, batch["input_ids"], audio),
        batch["attention_mask"],
        max_new_tokens=max_new_tokens,
        end_tokens=END,
    )


@pytest.mark.parametrize(
    "kept, missing",
    [
        (range(8), [None]),
        (range(8), [1, 2, 3, 4, 5, 6]),
        (range(8), [6, None, 1]),
        ([0, 2, 3, 6, 7], [3, 2, 6]),
        ([0, 2, 3, 6, 7], [None, 0, 7]),
        ([4], [None]),
    ],
)
def test_tokens_are_those_of_pruning_and_generating(kept, missing, wild, processor, prompt, rows):
    kept = list(kept)
    inputs = plain_inputs(processor, prompt, rows)
    expected = [
        reference(wild, [layer for layer in kept if layer != gone], inputs, 70) for gone in missing
    ]
    assert run(wild, processor, prompt, rows, kept, missing, 70) == expected
    # The comparison means something: rows differ, variants differ, lengths differ.
    assert len({tuple(row) for rows in expected for row in rows}) > len(missing)
    assert len({len(row) for rows in expected for row in rows}) > 2


def test_rows_that_end_first_leave_the_others_alone(wild, processor, prompt, rows):
    """Each row alone, never compacted, against all together."""
    missing = [None, 2, 5]
    together = run(wild, processor, prompt, rows, list(range(8)), missing, 50)
    for number, row in enumerate(rows):
        alone = run(wild, processor, prompt, [row], list(range(8)), missing, 50)
        assert [variant[0] for variant in alone] == [variant[number] for variant in together]


def test_prompts_may_be_read_in_pieces(wild, processor, prompt, rows, monkeypatch):
    missing = [None, 2, 5, 7]
    expected = run(wild, processor, prompt, rows, list(range(8)), missing, 30)
    sizes, read = [], prompt_pass._Piece.read
    monkeypatch.setattr(
        prompt_pass._Piece, "read", lambda piece: sizes.append(len(piece.mask)) or read(piece)
    )
    for positions, expected_sizes in ((10_000, [6]), (1, [1] * 6), (170, [2, 2, 1, 1])):
        monkeypatch.setattr(prompt_pass, "PIECE", positions)
        sizes.clear()
        assert run(wild, processor, prompt, rows, list(range(8)), missing, 30) == expected
        assert sizes == expected_sizes


@pytest.mark.parametrize("missing", [[None], [1, 4, 7], [2, None]])
def test_what_prompts_share_runs_once(missing, wild, processor, prompt, rows):
    """Positions that layers' MLPs see in the prompts' pass, by closed form."""
    seen = Counter()
    hooks = [
        layer.mlp.register_forward_pre_hook(
            lambda _, inputs, number=number: seen.update({number: inputs[0].shape[:2].numel()})
        )
        for number, layer in enumerate(wild.get_decoder().layers)
    ]
    run(wild, processor, prompt, rows, list(range(8)), missing, 1)
    for hook in hooks:
        hook.remove()
    ids = [Collator(processor, prompt).prompts(["en-de"], [1])["input_ids"][0].tolist()]
    opening = ids[0].index(wild.config.audio_token_id)
    counts = [len(of_row) for of_row in listened(wild, processor, rows)]
    longest = len(ids[0]) - 1 + max(counts)
    passed = opening + len(rows) * (longest - opening)
    copies = copies_of_prompts(range(8), missing)
    assert [seen[layer] for layer in range(7)] == [count * passed for count in copies[:7]]
    # Of the last layer only the last position is read.
    assert seen[7] == len(rows) * copies[7]


def test_prompts_are_kept_once_for_the_variants_on_the_trunk(
    wild, processor, prompt, rows, monkeypatch
):
    missing, caches = [6, None, 1, 7], []

    def recorded(*arguments):
        caches.append(LayerCache(*arguments))
        return caches[-1]

    monkeypatch.setattr(prompt_pass, "LayerCache", recorded)
    run(wild, processor, prompt, rows, list(range(8)), missing, 1)
    kept = [sum(len(s.keys) for s in (c.apart, c.shared) if s) for c in caches]
    assert kept == [len(rows) * count for count in (1, 1, 2, 2, 2, 2, 2, 3)]
    assert kept == [len(rows) * count for count in copies_of_prompts(range(8), missing)]


def test_candidates_of_32_layers_keep_half_of_their_prompts():
    """docs/search.md: 52 %."""
    copies = copies_of_prompts(range(32), range(1, 31))
    assert round(100 * sum(copies) / (32 * 30)) == 52


@pytest.mark.parametrize("missing", [[8], [3, 3], [1]])
def test_variants_that_do_not_fit_are_refused(missing, wild, processor, prompt, rows):
    with pytest.raises(InputError, match="do not fit the stack"):
        run(wild, processor, prompt, rows[:1], [0, 2, 3], missing, 2)


def test_logits_that_are_no_numbers_are_no_silent_winner(wild, processor, prompt, rows):
    broken = deepcopy(wild)
    broken.lm_head.weight.data[3, 3] = float("nan")
    with pytest.raises(RuntimeError, match="not numbers"):
        run(broken, processor, prompt, rows[:1], list(range(8)), [None], 2)


def test_encoder_on_the_clips_own_length_hears_the_same(wild, processor, prompt, rows):
    """Against Qwen2AudioEncoder on the whole window, clips of 0.5 to 3 s of 6 s together."""
    inputs = plain_inputs(processor, prompt, rows)
    assert isinstance(wild, Qwen2AudioForConditionalGeneration)
    short = encode(wild, inputs["input_features"], inputs["feature_attention_mask"])
    with torch.inference_mode():
        for number, clip in enumerate(short):
            alone = {key: value[number : number + 1] for key, value in inputs.items()}
            [own] = encode(wild, alone["input_features"], alone["feature_attention_mask"])
            embeddings = _plain_embeddings(wild, alone)
            assert np.allclose(clip, embeddings, atol=1e-4)
            assert np.allclose(own, embeddings, atol=1e-4)


def _plain_embeddings(model, inputs):
    """The projected audio that transformers puts into the decoder, caught at its first layer."""
    caught = []
    hook = (
        model.get_decoder()
        .layers[0]
        .register_forward_pre_hook(lambda _, arguments: caught.append(arguments[0]))
    )
    model(**inputs)
    hook.remove()
    return caught[0][inputs["input_ids"] == model.config.audio_token_id]


def test_a_step_waits_for_the_device_once(wild, processor, prompt, rows, monkeypatch):
    """When all of it is done: a GPU that is asked in between stands still."""
    clips = [read_audio(row["audio"]) for row in rows[:2]]
    features = extract_features(processor, clips)
    audio = encode(wild, features["input_features"], features["feature_attention_mask"])
    batch = Collator(processor, prompt).prompts(["en-de"] * 2, map(len, audio))
    embeddings = embed_prompts(wild, batch["input_ids"], audio)
    waits = Counter()
    for name in ("tolist", "item", "nonzero", "__bool__", "__int__", "__float__"):
        usual = getattr(torch.Tensor, name)

        def counted(self, *arguments, name=name, usual=usual):
            waits[name] += 1
            return usual(self, *arguments)

        monkeypatch.setattr(torch.Tensor, name, counted)
    mask = batch["attention_mask"]
    decode(wild, range(8), [3, None], embeddings, mask, max_new_tokens=5, end_tokens=[])
    # Once more, before the first: how many positions the prompts have in common.
    assert +waits == {"tolist": 5, "__bool__": 5, "__int__": 1}
