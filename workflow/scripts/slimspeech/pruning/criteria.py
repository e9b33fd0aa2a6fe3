"""How much each decoder layer matters, measured by forward passes alone, without generating.

All measures read the prompt with its gold translation behind it (teacher forcing), and for all of
them the layer that scores lowest is the one whose removal costs least.
"""

import logging
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.generation.greedy import attention_inputs, embed_prompts, logits_of
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.models.encoder import encode
from slimspeech.models.prompts import Prompt

logger = logging.getLogger(__name__)

POSITIONS = 256  # answer positions whose logits are held at once, each a vocabulary of numbers


def removal_losses(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    kept: Sequence[int],
    candidates: Sequence[int],
    batch_size: int,
) -> dict[int, float]:
    """The loss on the gold translations without each candidate in turn, by layer.

    Mean cross entropy of all answers' tokens, the end of the turn among them, in nats, from
    logits turned to fp32. kept: the layers that run, by their index in the model; candidates: some
    of them. Raises InputError if a candidate is not kept or is given twice, if there are no rows or
    a clip is longer than the model's window; RuntimeError if a logit is not a number.
    """
    _check_stack(kept, candidates)
    layers = sorted(candidates)

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        answers = batch.labels[:, 1:] != IGNORED
        tokens = batch.labels[:, 1:][answers]
        sums, trunk, done = [], batch.embeddings, 0
        for layer in layers:
            place = kept.index(layer)
            trunk = batch.run(kept[done:place], trunk)  # shared by all that lack a later layer
            branch = batch.run(kept[place + 1 :], trunk)
            sums.append(_cross_entropy(model, branch[:, :-1][answers], tokens))
            done = place
        return torch.stack(sums), len(tokens)

    means = _means(model, processor, rows, prompt, batch_size, measure, "loss without each layer")
    return dict(zip(layers, means, strict=True))


def block_influence(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    kept: Sequence[int],
    candidates: Sequence[int],
    batch_size: int,
) -> dict[int, float]:
    """How far each candidate turns the states that pass it (ShortGPT, arXiv 2403.03853, eq. 1).

    1 - mean cosine, in fp32, of a token's state before and after the layer, over all tokens of
    prompts and answers, in the stack of the kept layers. Arguments and errors are those of
    removal_losses().
    """
    _check_stack(kept, candidates)
    layers = sorted(candidates)

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        filled = batch.mask.bool()
        sums, states = [], batch.embeddings
        for layer in kept[: kept.index(layers[-1]) + 1]:
            before, states = states, batch.run([layer], states)
            if layer in candidates:
                cosine = nn.functional.cosine_similarity(
                    before[filled].float(), states[filled].float(), dim=-1
                )
                sums.append((1 - cosine).double().sum())
        return torch.stack(sums), int(filled.sum())

    means = _means(model, processor, rows, prompt, batch_size, measure, "influence of each layer")
    return dict(zip(layers, means, strict=True))


def angular_distances(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    candidates: Sequence[int],
    block: int,
    batch_size: int,
) -> dict[int, float]:
    """By layer, the least distance that a block around it bridges (arXiv 2403.17887, section 3).

    A block is a run of `block` candidates. Its distance is the mean over clips of the angle, as a
    share of pi, between the last token's state before the block and behind it, in the model's
    whole stack. The layers of the best block tie at the minimum, so removing one layer at a time
    by these scores, of equals the deepest, removes that block.
    Raises InputError if a candidate is in no run of that many; else as removal_losses().
    """
    stack = range(len(model.get_decoder().layers))
    _check_stack(stack, candidates)
    layers = sorted(candidates)
    starts = [
        layer for layer in layers if set(range(layer, layer + block)) <= set(layers) and block > 0
    ]
    blocks_of = {layer: [s for s in starts if s <= layer < s + block] for layer in layers}
    if not all(blocks_of.values()):
        raise InputError(
            f"pruning.iterations is {block}, but the removable layers {layers} do not make blocks "
            "of as many; change it to between 1 and their number, or protect fewer layers"
        )

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        clips = torch.arange(len(batch.mask), device=batch.mask.device)
        last = (clips, batch.mask.sum(-1) - 1)
        states = batch.embeddings
        # In fp64, because the arc cosine magnifies an error where states are nearly parallel.
        passed = [states[last].double()]
        for layer in stack[: starts[-1] + block]:
            states = batch.run([layer], states)
            passed.append(states[last].double())
        sums = []
        for start in starts:
            cosine = nn.functional.cosine_similarity(passed[start], passed[start + block], dim=-1)
            sums.append(cosine.clamp(-1, 1).acos().sum() / math.pi)
        return torch.stack(sums), len(batch.mask)

    means = _means(model, processor, rows, prompt, batch_size, measure, "angle of each block")
    distances = dict(zip(starts, means, strict=True))
    return {layer: min(distances[s] for s in blocks_of[layer]) for layer in layers}


class _Batch:
    """Prompts with answers on their way through the decoder, padded on the right."""

    def __init__(self, model: PreTrainedModel, collator: Collator, rows: Sequence[Row]):
        inputs = {key: value.to(model.device) for key, value in collator(rows).items()}
        self.mask = inputs["attention_mask"]
        self.labels = inputs["labels"]
        self.embeddings = embed_prompts(model, inputs["input_ids"], _listen(model, inputs))
        self.decoder = model.get_decoder()
        self.bias, self.rotary = attention_inputs(self.decoder, self.embeddings, self.mask)

    def run(self, layers: Sequence[int], states: Tensor) -> Tensor:
        for layer in layers:
            states = self.decoder.layers[layer](states, self.bias, position_embeddings=self.rotary)
        return states


def _listen(model: PreTrainedModel, inputs: dict[str, Tensor]) -> list[Tensor]:
    """The audio embeddings of a batch's clips, each (its audio tokens, hidden size)."""
    return encode(model, inputs["input_features"], inputs["feature_attention_mask"])


@torch.inference_mode()
def _means(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Sequence[Row],
    prompt: Prompt,
    batch_size: int,
    measure: Callable[[_Batch], tuple[Tensor, int]],
    progress: str,
) -> list[float]:
    """Means over all rows of what `measure` gives for a batch: sums in fp64, and of how many.

    Batches hold rows of like length, the longest first, and are halved when memory runs out.
    """
    if not rows:
        raise InputError("there are no segments to measure layers on; check pruning.split")
    collator = Collator(processor, prompt)
    longest_first = sorted(rows, key=lambda row: -row["duration"])
    totals, counted, done = 0.0, 0, 0
    with tqdm(total=len(rows), desc=progress, unit="clip") as bar:
        while done < len(rows):
            part = longest_first[done : done + batch_size]
            try:
                sums, count = measure(_Batch(model, collator, part))
            except torch.OutOfMemoryError:
                if batch_size == 1:
                    raise
                batch_size //= 2
                torch.cuda.empty_cache()
                logger.warning("out of memory: going on with %d clips at once", batch_size)
                continue
            totals, counted, done = totals + sums, counted + count, done + len(part)
            bar.update(len(part))
    means = totals / counted
    if not torch.isfinite(means).all():
        raise RuntimeError("the model gives states that are not numbers; use precision: fp32")
    return means.tolist()


def _cross_entropy(model: PreTrainedModel, states: Tensor, tokens: Tensor) -> Tensor:
    """Sum over N positions, in fp64. states: (N, hidden size), of the last layer; tokens: (N,)."""
    total = torch.zeros((), dtype=torch.float64, device=states.device)
    for part, wanted in zip(states.split(POSITIONS), tokens.split(POSITIONS), strict=True):
        logits = logits_of(model, part).float()
        total += nn.functional.cross_entropy(logits, wanted, reduction="sum")
    return total


def _check_stack(kept: Sequence[int], candidates: Sequence[int]) -> None:
    if not candidates or len(set(candidates)) != len(candidates) or set(candidates) - set(kept):
        raise InputError(
            f"candidates {list(candidates)} do not fit the stack {list(kept)}; give some, each once"
        )
