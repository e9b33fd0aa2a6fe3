"""A search iteration on a Qwen2-Audio-7B of random weights and true shape, on a GPU.

The engine is measured on the whole iteration. The published loop is timed on a few clips and
candidates, and its total is calculated; the calculation is printed. Random weights end no
translation, so every hypothesis runs to the cap on both sides.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np
import published_search
import torch
from harness import PROMPT
from torch import nn
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    WhisperFeatureExtractor,
)

from slimspeech.artifacts import Row
from slimspeech.data.audio import write_wav
from slimspeech.errors import InputError
from slimspeech.families.qwen2_audio import FAMILY
from slimspeech.families.whisper import allow_short
from slimspeech.generation.translation import GenerationSettings
from slimspeech_mini.model import build_processor

RATE = 16_000
SECONDS = (1.0, 12.0)  # lengths of the clips; the mean is that of ACL 60/60, 6.4 s
PUBLISHED_CANDIDATES = 212  # 30 + 29 + … + 23: eight of 32 layers, the ends protected
PUBLISHED_CLIPS = 100
MEMORY = 50e9  # bytes: two copies of the weights in bf16, and room to work

# The true shape, and one to try the code.
FULL = {name: FAMILY.full_size[f"{name}_config"] for name in ("audio", "text")}
TINY = {
    "audio": FULL["audio"]
    | {"d_model": 64, "encoder_layers": 1, "encoder_attention_heads": 1, "encoder_ffn_dim": 128},
    "text": FULL["text"]
    | {
        "vocab_size": 600,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 1,
        "num_key_value_heads": 1,
    },
}


def make_processor() -> ProcessorMixin:
    """Whisper's features as Qwen2-Audio takes them, and a small tokenizer."""
    texts = [PROMPT.system, PROMPT.request("en-de")]
    tokenizer = build_processor(texts, vocabulary=300).tokenizer
    bins = FULL["audio"]["num_mel_bins"]
    return Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=bins), tokenizer)


def make_model(
    shape: dict[str, Any], processor: ProcessorMixin, dtype: torch.dtype, device: str
) -> PreTrainedModel:
    """Random weights, made on the device."""
    config = Qwen2AudioConfig(
        audio_config={"model_type": "qwen2_audio_encoder"} | shape["audio"],
        text_config={
            "model_type": "qwen2",
            "tie_word_embeddings": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": processor.tokenizer.pad_token_id,
        }
        | shape["text"],
        audio_token_index=processor.audio_token_id,
        tie_word_embeddings=False,
        dtype=dtype,
    )
    torch.manual_seed(0)
    default_dtype = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = Qwen2AudioForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(default_dtype)
    # The whole head is computed, but only tokens that the tokenizer has, and no special ones, get
    # the highest score.
    weight = model.lm_head.weight.data
    weight[len(processor.tokenizer) :] = 0
    weight[processor.tokenizer.all_special_ids] = 0
    return model.eval()


def write_clips(folder: Path, count: int) -> list[Row]:
    """Noise of evenly spaced lengths from the shortest to the longest, in random order."""
    random = np.random.default_rng(0)
    rows = []
    for number, seconds in enumerate(random.permutation(np.linspace(*SECONDS, count))):
        path = folder / f"{number}.wav"
        write_wav(path, (0.1 * random.standard_normal(round(seconds * RATE))).astype(np.float32))
        rows.append({"id": str(number), "audio": str(path), "duration": float(seconds)})
    return [row | {"pair": "en-de", "target": "-"} for row in rows]


class Work:
    """Counts bytes and operations of a model's linear layers and key-value caches.

    Bytes: the weights at every call, and in decoding the keys and values that a step reads.
    Operations: two per weight and token. Both are lower bounds, because activations and the
    encoder's attention are left out.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model
        self.bytes = self.operations = 0

    def __enter__(self) -> "Work":
        linear = [m for m in self.model.modules() if isinstance(m, nn.Linear)]
        self.hooks = [m.register_forward_pre_hook(self._linear) for m in linear]
        for layer in self.model.get_decoder().layers:
            self.hooks.append(layer.register_forward_pre_hook(self._cache, with_kwargs=True))
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _linear(self, module: nn.Linear, inputs: tuple) -> None:
        weight = module.weight
        self.bytes += weight.numel() * weight.element_size()
        self.operations += 2 * weight.numel() * (inputs[0].numel() // weight.shape[1])

    def _cache(self, layer: nn.Module, inputs: tuple, options: dict[str, Any]) -> None:
        hidden = inputs[0]
        bias = inputs[1] if len(inputs) > 1 else options.get("attention_mask")
        if bias is None:
            return
        rows, length, _ = hidden.shape
        width = layer.self_attn.k_proj.out_features
        self.operations += 4 * rows * length * bias.shape[-1] * layer.self_attn.q_proj.out_features
        if length == 1:
            self.bytes += 2 * rows * bias.shape[-1] * width * hidden.element_size()


def peaks(device: str, dtype: torch.dtype, tiny: bool) -> tuple[float, float]:
    """The device's bytes per second in a copy and operations per second in a matrix product."""
    size, side = (2**20, 256) if tiny else (2**31, 8192)
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    matrix = torch.randn(side, side, dtype=dtype, device=device)

    def best(work: Callable[[], Any]) -> float:
        return min(harness.timed(work)[1] for _ in range(10))

    return 2 * size / best(lambda: target.copy_(source)), 2 * side**3 / best(
        lambda: matrix @ matrix
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--clips", type=harness.positive, help="of the engine's iteration (100; tiny: 3)")
    add("--candidates", type=harness.positive, help="of the engine's iteration (all removable)")
    add("--timed-clips", type=harness.positive, help="of the published loop (5; tiny: 2)")
    add("--timed-candidates", type=harness.positive, default=2, help="of the published loop (2)")
    add("--tiny", action="store_true", help="a tiny shape, also on a CPU: to try the code")
    harness.add_machine(parser)
    harness.add_decoding(parser, max_new_tokens=48)
    parser.set_defaults(precision="bf16", repeats=1)
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if not options.tiny:
        if device == "cpu":
            raise InputError("full_size.py needs a GPU, and torch finds none; --tiny runs on a CPU")
        if torch.cuda.get_device_properties(0).total_memory < MEMORY:
            raise InputError(f"full_size.py needs a GPU of {MEMORY / 1e9:.0f} GB, or --tiny")
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, device, write_clips(Path(folder), options.clips or (100, 3)[options.tiny]))


def measure(options: argparse.Namespace, device: str, rows: list[Row]) -> None:
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    processor = make_processor()
    model = make_model(TINY if options.tiny else FULL, processor, dtype, device)
    missing = harness.removable(model, options.candidates)
    kept = list(range(len(model.get_decoder().layers)))
    few = rows[: options.timed_clips or (5, 2)[options.tiny]]
    timed_layers = harness.removable(model, min(options.timed_candidates, len(missing)))

    copying, translating, expected = time_published_loop(
        model, processor, few, kept, timed_layers, options.max_new_tokens
    )
    generation = GenerationSettings(options.batch_size, options.max_new_tokens, options.precision)
    bench = harness.Bench(allow_short(model), processor, rows, generation)

    def engine(rows):
        return harness.search_with_engine(
            bench, harness.encode_with_engine(bench, rows), kept, missing
        )

    with Work(model) as work:  # also the warm-up
        engine(rows)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    timing = harness.compare({"engine": engine}, rows, repeats=options.repeats)["engine"]
    seconds = timing.median
    memory = "not measured"
    if device == "cuda":
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB"
    # The engine's hypotheses for the timed clips and candidates.
    clips = harness.encode_with_engine(bench, few)
    hypotheses = harness.search_with_engine(bench, clips, kept, timed_layers)
    agreement = harness.differing(
        [text for layer in timed_layers for text in hypotheses[layer]],
        [text for layer in timed_layers for text in expected[layer]],
    )
    bandwidth, product = peaks(device, dtype, options.tiny)

    count = len(rows) * len(missing)
    published = len(missing) * copying + count * translating
    whole = PUBLISHED_CANDIDATES * (copying + PUBLISHED_CLIPS * translating)
    extrapolated = seconds / count * PUBLISHED_CANDIDATES * PUBLISHED_CLIPS
    harness.report(
        "A search iteration at full size" + (" (TINY: only to try the code)" * options.tiny),
        [
            f"{sum(weight.numel() for weight in model.parameters()) / 1e9:.2f} B random weights",
            f"{len(rows)} clips, {len(missing)} candidates of {len(kept)} layers",
            f"{options.max_new_tokens} tokens a hypothesis, {options.precision}",
        ],
        harness.table(
            ["", "seconds", "hypotheses a second", "ratio"],
            [
                ["engine, measured", f"{seconds:.2f}", f"{count / seconds:.2f}", "1.00"],
                [
                    "published loop, extrapolated",
                    f"{published:.2f}",
                    f"{count / published:.2f}",
                    f"{published / seconds:.1f}",
                ],
            ],
        ),
        f"Published loop: {len(timed_layers)} candidates, {len(few)} clips were timed: a deep copy "
        f"takes {copying:.3f} s, a clip {translating:.3f} s (medians). The iteration: "
        f"{len(missing)} x {copying:.3f} + {len(missing)} x {len(rows)} x {translating:.3f} = "
        f"{published:.1f} s. The published search, eight layers of 32: {PUBLISHED_CANDIDATES} x "
        f"({copying:.3f} + {PUBLISHED_CLIPS} x {translating:.3f}) = {whole:.0f} s; the engine at "
        f"its measured rate: {PUBLISHED_CANDIDATES * PUBLISHED_CLIPS} / {count / seconds:.2f} = "
        f"{extrapolated:.0f} s.",
        f"Hypotheses of the timed clips and candidates: {agreement}.",
        f"Engine: peak memory {memory}; it moves at least {work.bytes / 1e9:.2f} GB and "
        f"computes at least {work.operations / 1e12:.3f} T operations, "
        f"{100 * work.bytes / seconds / bandwidth:.1f} % of the bandwidth of a copy on this "
        f"device ({bandwidth / 1e12:.3f} TB/s) and {100 * work.operations / seconds / product:.1f} "
        f"% of the rate of a matrix product ({product / 1e12:.3f} T operations a second).",
    )


def time_published_loop(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    kept: Sequence[int],
    candidates: Sequence[int],
    max_new_tokens: int,
) -> tuple[float, float, dict[int, list[str]]]:
    """Median seconds of a deep copy and of a clip, and the hypotheses by candidate."""

    def translate(pruned: PreTrainedModel, row: Row) -> str:
        [text] = published_search.translate(
            pruned, processor, [row], PROMPT, batch_size=1, max_new_tokens=max_new_tokens
        )
        return text

    translate(model, rows[0])
    copies, clips, hypotheses = harness.Timing([], None), harness.Timing([], None), {}
    for layer in candidates:
        pruned, seconds = harness.timed(
            lambda layer=layer: published_search.without(model, kept, layer)
        )
        copies.seconds.append(seconds)
        hypotheses[layer] = []
        for row in rows:
            text, seconds = harness.timed(lambda p=pruned, row=row: translate(p, row))
            hypotheses[layer].append(text)
            clips.seconds.append(seconds)
        del pruned
    return copies.median, clips.median, hypotheses


if __name__ == "__main__":
    harness.run(main)
