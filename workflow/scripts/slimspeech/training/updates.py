"""The clips of an update: in which order, in which micro-batches, and whose they are."""

import math
from collections.abc import Iterator

import torch
from transformers import PretrainedConfig
from transformers.trainer_pt_utils import LengthGroupedSampler

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.models.collation import IGNORED, Collator
from slimspeech.training.ranks import ALONE, Ranks

Batch = dict[str, torch.Tensor]
TEXT = ("input_ids", "attention_mask", "labels")  # all else in a batch are the clips' features


class LengthGroupedBatches(LengthGroupedSampler):
    """transformers' batches of like length, but in random order.

    The library's own order runs from long to short clips through every fifty batches. The order
    depends on seed and epoch alone, so that resumed training goes on with the same data.
    """

    def __init__(self, batch_size: int, lengths: list[int], seed: int):
        super().__init__(batch_size, lengths=lengths)
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        indices = list(super().__iter__())
        batches = [
            indices[start : start + self.batch_size]
            for start in range(0, len(indices), self.batch_size)
        ]
        # A last batch that is not full stays last, or all behind it would be cut elsewhere.
        full = len(indices) // self.batch_size
        order = torch.randperm(full, generator=self.generator).tolist()
        for number in [*order, *range(full, len(batches))]:
            yield from batches[number]


class Parts:
    """Collates the rows of an update in micro-batches: {"parts": [batch, …], "shares": [1.0, …]}.

    Of several processes, each collates those of its clips. shares: how much each of them counts in
    the loss, which is the mean of the micro-batches, each a mean over its answers' tokens; those of
    all processes sum up to 1. A process alone needs none.
    """

    def __init__(self, collator: Collator, size: int, ranks: Ranks = ALONE, always: bool = False):
        """always: a process without clips collates one that does not count."""
        self.collator = collator
        self.size = size
        self.ranks = ranks
        self.always = always

    def __call__(self, rows: list[Row]) -> dict[str, list]:
        own = self.ranks.own(len(rows))
        batches = [rows[start : start + self.size] for start in range(0, len(rows), self.size)]
        parts, shares = [], []
        for number, batch in enumerate(batches):
            first = number * self.size
            mine = batch[max(0, own.start - first) : max(0, own.stop - first)]
            if mine:
                parts.append(dict(self.collator(mine)))
                shares.append(self._tokens(mine) / self._tokens(batch) / len(batches))
        if self.always and not parts:
            parts, shares = [dict(self.collator(rows[:1]))], [0.0]
        return {"parts": parts, "shares": shares}

    def _tokens(self, rows: list[Row]) -> int:
        """Of the answers; not counted by a process alone."""
        return sum(len(self.collator.answer(row)) for row in rows) if self.ranks.several else 1


def split(batch: Batch, size: int, config: PretrainedConfig) -> list[Batch]:
    """A collated batch in parts of at most `size` clips, each as if collated by itself.

    config: of the model.
    """
    count, family = len(batch["labels"]), families.of(config)
    if count <= size:
        return [batch]
    clips = _clips(batch, config)
    parts = []
    for start in range(0, count, size):
        part = {name: batch[name][start : start + size] for name in TEXT}
        length = int(part["attention_mask"].sum(-1).max())
        part = {name: values[:, :length] for name, values in part.items()}
        parts.append(part | family.join(clips[start : start + size]))
    return parts


def _clips(batch: Batch, config: PretrainedConfig) -> list[Batch]:
    """The features of each clip of a batch."""
    family = families.of(config)
    tokens = (batch["input_ids"] == config.audio_token_id).sum(-1).tolist()
    rows = [family.rows(count) for count in tokens]
    features = {name: values.split(rows) for name, values in batch.items() if name not in TEXT}
    return [
        dict(zip(features, parts, strict=True)) for parts in zip(*features.values(), strict=True)
    ]


def divisors(parts: list[Batch], share: float) -> list[float]:
    """What the mean loss of each part of a micro-batch is divided by, so that they sum up to its
    share of the loss of an update."""
    tokens = [int((part["labels"] != IGNORED).sum()) for part in parts]
    return [sum(tokens) / own / share if share else math.inf for own in tokens]


def smaller(size: int) -> int:
    """Half as many clips, or fewer if only so all parts are of one size."""
    return next(count for count in range(size // 2, 0, -1) if size % count == 0)
