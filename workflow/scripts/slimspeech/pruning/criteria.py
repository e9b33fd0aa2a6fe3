"""The importance of each decoder layer, measured by forward passes, without generating.

All measures read prompts followed by translations (teacher forcing): the teacher's own for the KL
divergence, the gold ones for the others. The layer with the lowest score is the one whose removal
costs least.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.errors import InputError
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.models.decoder import embed_prompts, kind_of, layer_inputs, logits_of
from slimspeech.models.memory import free_memory
from slimspeech.models.prompts import Prompt

logger = logging.getLogger(__name__)

POSITIONS = 256  # answer positions whose logits are in memory at once, a vocabulary of numbers each


@dataclass(frozen=True)
class GoldCorpus:
    """A model and the segments that it is measured on.

    segments: `target` is the translation that the model reads.
    batch_size: in clips; halved when memory runs out.
    """

    model: PreTrainedModel
    processor: ProcessorMixin
    segments: Sequence[Row]
    prompt: Prompt
    batch_size: int

    @torch.inference_mode()
    def means(
        self, measure: Callable[["_Batch"], tuple[Tensor, int]], progress: str
    ) -> list[float]:
        """Means over all segments. measure: sums in fp64 for a batch, and the number of addends.

        Batches have clips of similar length, the longest first.
        """
        if not self.segments:
            raise InputError("there are no segments to measure layers on; check pruning.split")
        longest_first = sorted(self.segments, key=lambda segment: -segment["duration"])
        totals, count, start, batch_size = 0.0, 0, 0, self.batch_size
        with tqdm(total=len(self.segments), desc=progress, unit="clip") as bar:
            while start < len(self.segments):
                part = longest_first[start : start + batch_size]
                measured = None
                try:
                    measured = measure(_Batch(self, part))
                except torch.OutOfMemoryError:
                    if batch_size == 1:
                        raise
                if measured is None:
                    batch_size //= 2
                    free_memory()
                    logger.warning("out of memory: going on with %d clips at once", batch_size)
                    continue
                totals, count = totals + measured[0], count + measured[1]
                start += len(part)
                bar.update(len(part))
        means = totals / count
        if not torch.isfinite(means).all():
            raise RuntimeError("the model gives states that are not numbers; use precision: fp32")
        return means.tolist()


def removal_losses(
    corpus: GoldCorpus, kept: Sequence[int], candidates: Sequence[int]
) -> dict[int, float]:
    """The loss on the gold translations without each candidate in turn, by layer.

    Mean cross entropy, in nats, of all tokens of the answers including the end of the turn, from
    logits in fp32. kept: indices in the model of the layers that run; candidates: some of them.
    Raises InputError if there are no segments or a clip is longer than the model's window, and
    RuntimeError if a logit is not a number.
    """
    layers = sorted(candidates)

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        answers = batch.labels[:, 1:] != IGNORED
        tokens = batch.labels[:, 1:][answers]
        sums, trunk, start = [], batch.embeddings, 0
        for layer in layers:
            position = kept.index(layer)
            # The states below a layer are shared with the candidates above it.
            trunk = batch.run(kept[start:position], trunk)
            branch = batch.run(kept[position + 1 :], trunk)
            sums.append(_cross_entropy(corpus.model, branch[:, :-1][answers], tokens))
            start = position
        return torch.stack(sums), len(tokens)

    means = corpus.means(measure, "loss without each layer")
    return dict(zip(layers, means, strict=True))


def stack_loss(corpus: GoldCorpus, kept: Sequence[int]) -> float:
    """The loss on the gold translations of the kept layers alone; else as removal_losses()."""

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        answers = batch.labels[:, 1:] != IGNORED
        tokens = batch.labels[:, 1:][answers]
        states = batch.run(kept, batch.embeddings)
        return _cross_entropy(corpus.model, states[:, :-1][answers], tokens)[None], len(tokens)

    [loss] = corpus.means(measure, "loss")
    return loss


def removal_divergences(
    corpus: GoldCorpus, kept: Sequence[int], candidates: Sequence[int]
) -> dict[int, float]:
    """How far the whole model's next tokens are from those without each candidate, by layer.

    Mean KL divergence, in nats, of the distribution by the kept layers without the candidate from
    that by all layers of the model, over the tokens of the answers including the end of the turn,
    from logits in fp32. Arguments and errors are those of removal_losses().
    """
    layers = sorted(candidates)
    whole = range(len(corpus.model.get_decoder().layers))

    def measure(batch: _Batch) -> tuple[Tensor, int]:
        answers = batch.labels[:, 1:] != IGNORED
        teacher = batch.run(whole, batch.embeddings)[:, :-1][answers]
        sums, trunk, start = [], batch.embeddings, 0
        for layer in layers:
            position = kept.index(layer)
            trunk = batch.run(kept[start:position], trunk)
            branch = batch.run(kept[position + 1 :], trunk)
            sums.append(_divergence(corpus.model, teacher, branch[:, :-1][answers]))
            start = position
        return torch.stack(sums), len(teacher)

    means = corpus.means(measure, "divergence without each layer")
    return dict(zip(layers, means, strict=True))


def block_influence(
    corpus: GoldCorpus, kept: Sequence[int], candidates: Sequence[int]
) -> dict[int, float]:
    """How far each candidate turns the states that pass it (ShortGPT, arXiv 2403.03853, eq. 1).

    1 - mean cosine, in fp32, of a token's state before and after the layer, over all tokens of
    prompts and answers, in the stack of the kept layers. Arguments and errors are those of
    removal_losses().
    """
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

    means = corpus.means(measure, "influence of each layer")
    return dict(zip(layers, means, strict=True))


def angular_distances(
    corpus: GoldCorpus, candidates: Sequence[int], block: int
) -> dict[int, float]:
    """By layer, the smallest distance of a block that contains it (arXiv 2403.17887, section 3).

    A block is a run of `block` candidates. Its distance is the angle, as a share of pi and as a
    mean over clips, between the last token's states before and after the block, in the model's
    whole stack. The layers of the best block tie at the minimum, so removing one layer at a time
    by these scores, of equals the deepest, removes that block.
    Raises InputError if a candidate is in no run of that length; else as removal_losses().
    """
    stack = range(len(corpus.model.get_decoder().layers))
    layers = sorted(candidates)
    starts = [layer for layer in layers if set(range(layer, layer + block)) <= set(layers)]
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
        # In fp64, because the arc cosine magnifies errors where states are nearly parallel.
        last_states = [states[last].double()]
        for layer in stack[: starts[-1] + block]:
            states = batch.run([layer], states)
            last_states.append(states[last].double())
        sums = []
        for start in starts:
            ends = last_states[start], last_states[start + block]
            cosine = nn.functional.cosine_similarity(*ends, dim=-1)
            sums.append(cosine.clamp(-1, 1).acos().sum() / math.pi)
        return torch.stack(sums), len(batch.mask)

    means = corpus.means(measure, "angle of each block")
    distances = dict(zip(starts, means, strict=True))
    return {layer: min(distances[s] for s in blocks_of[layer]) for layer in layers}


class _Batch:
    """Prompts with their answers, padded on the right, in the decoder."""

    def __init__(self, corpus: GoldCorpus, segments: Sequence[Row]):
        model, collate = corpus.model, Collator(corpus.processor, corpus.prompt)
        inputs = {key: value.to(model.device) for key, value in collate(segments).items()}
        ids, self.mask, self.labels = map(inputs.pop, ("input_ids", "attention_mask", "labels"))
        tokens = (ids == model.config.audio_token_id).sum(-1).tolist()
        clips = families.of(model.config).encode(model, inputs, tokens)
        self.embeddings = embed_prompts(model, ids, clips)
        self.decoder = model.get_decoder()
        self.inputs = layer_inputs(model, self.embeddings, self.mask)

    def run(self, layers: Sequence[int], states: Tensor) -> Tensor:
        for layer in layers:
            states = self.decoder.layers[layer](states, **self.inputs[kind_of(self.decoder, layer)])
        return states


def _cross_entropy(model: PreTrainedModel, states: Tensor, tokens: Tensor) -> Tensor:
    """Sum over N positions, in fp64. states: (N, hidden size) of the last layer; tokens: (N,)."""
    total = torch.zeros((), dtype=torch.float64, device=states.device)
    for some_states, labels in zip(states.split(POSITIONS), tokens.split(POSITIONS), strict=True):
        logits = logits_of(model, some_states).float()
        total += nn.functional.cross_entropy(logits, labels, reduction="sum")
    return total


def _divergence(model: PreTrainedModel, states: Tensor, others: Tensor) -> Tensor:
    """KL(states || others), summed over N positions, in fp64. Both: (N, hidden size)."""
    total = torch.zeros((), dtype=torch.float64, device=states.device)
    for some, some_others in zip(states.split(POSITIONS), others.split(POSITIONS), strict=True):
        expected = logits_of(model, some).float().log_softmax(-1)
        logits = logits_of(model, some_others).float().log_softmax(-1)
        total += nn.functional.kl_div(logits, expected, reduction="sum", log_target=True)
    return total
