"""Padded batches of manifest rows: prompts for generation, prompts with answers for training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, PreTrainedModel, ProcessorMixin

from slimspeech import families
from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.models.prompts import Prompt

LISTENED_ON_GPU = 32  # clips
IGNORED = -100  # the label that torch's cross entropy ignores


def window_seconds(processor: ProcessorMixin) -> float:
    """Length in seconds of the longest clip that the model hears at once."""
    extractor = processor.feature_extractor
    fixed = families.of_processor(processor).window_seconds
    return fixed or extractor.n_samples / extractor.sampling_rate


def clip_features(
    processor: ProcessorMixin, audio: Sequence[np.ndarray]
) -> list[dict[str, Tensor]]:
    """Features of 16 kHz mono clips, each by the names of the model's forward().

    A clip's features do not depend on the other clips.
    Raises InputError for a clip longer than the window, which feature extractors cut without a
    warning.
    """
    rate, window = processor.feature_extractor.sampling_rate, window_seconds(processor)
    for clip in audio:
        if len(clip) > window * rate:
            raise InputError(
                f"a clip lasts {len(clip) / rate:.2f} s and the model reads {window:g} s; only "
                "translating cuts long clips (data.long_segments: split), other steps need data "
                "without them"
            )
    return families.of_processor(processor).features(processor, audio)


def token_counts(processor: ProcessorMixin, audio: Sequence[np.ndarray]) -> list[int]:
    """Audio tokens of each clip, without computing features."""
    return families.of_processor(processor).token_counts(processor, [len(clip) for clip in audio])


def extract_features(processor: ProcessorMixin, audio: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """clip_features() of all clips together, as forward() takes them."""
    return families.of_processor(processor).join(clip_features(processor, audio))


def listen(
    model: PreTrainedModel, processor: ProcessorMixin, audio: Sequence[np.ndarray]
) -> list[Tensor]:
    """Embeddings of the clips in the decoder's space, each (its audio tokens, hidden size).

    On a GPU a few clips at a time: the memory left for hypotheses does not count the encoder's.
    """
    size = LISTENED_ON_GPU if model.device.type == "cuda" else max(1, len(audio))
    family, embeddings = families.of(model.config), []
    for start in range(0, len(audio), size):
        part = audio[start : start + size]
        features = extract_features(processor, part)
        embeddings += family.encode(model, features, token_counts(processor, part))
    return embeddings


class Collator:
    """Reads the audio of manifest rows and makes the inputs of a model.

    keep: bytes of features that stay in memory, so that the next epoch does not compute them again.
    """

    def __init__(self, processor: ProcessorMixin, prompt: Prompt, keep: int = 0):
        self.processor = processor
        self.prompt = prompt
        self.family = families.of_processor(processor)
        self._room = keep
        self._kept: dict[str, tuple[dict[str, Tensor], int]] = {}

    def prompts(self, pairs: Sequence[str], audio_tokens: Sequence[int]) -> BatchEncoding:
        """Prompts, padded on the left, so that all translations begin at the same position.

        audio_tokens: the number of audio tokens of each clip. The ids equal those of the processor
        when it gets the audio.
        """
        prompts = [
            torch.tensor(self.prompt.ids(self.processor, pair, count))
            for pair, count in zip(pairs, audio_tokens, strict=True)
        ]
        masks = [torch.ones_like(ids) for ids in prompts]
        return BatchEncoding(
            {
                "input_ids": _pad(prompts, self.processor.tokenizer.pad_token_id, "left"),
                "attention_mask": _pad(masks, 0, "left"),
            }
        )

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Prompts and answers, padded on the right. An answer ends with the end-of-turn token.

        Keys for B rows padded to L tokens: input_ids, attention_mask and labels (B, L), labels
        IGNORED outside of the answer; features as forward() calls them.
        """
        features, counts = self._features([row["audio"] for row in rows])
        input_ids, labels = [], []
        for row, count in zip(rows, counts, strict=True):
            prompt = torch.tensor(self.prompt.ids(self.processor, row["pair"], count))
            # Prompt and answer are tokenised apart, so that the tokenizer merges nothing across the
            # seam and training has the same prompt tokens as generation.
            answer = torch.tensor(self.answer(row))
            input_ids.append(torch.cat([prompt, answer]))
            labels.append(torch.cat([torch.full_like(prompt, IGNORED), answer]))
        lengths = torch.tensor([len(ids) for ids in input_ids])
        padded = _pad(input_ids, self.processor.tokenizer.pad_token_id, "right")
        return {
            "input_ids": padded,
            # From the lengths, because the pad token may be the end-of-text token too.
            "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
            "labels": _pad(labels, IGNORED, "right"),
            **features,
        }

    def answer(self, row: Row) -> list[int]:
        """The ids that the model learns to write."""
        tokenizer = self.processor.tokenizer
        end = tokenizer.convert_tokens_to_ids(self.family.end_of_turn)
        return [*tokenizer(row["target"].strip(), add_special_tokens=False).input_ids, end]

    def _features(self, paths: Sequence[str]) -> tuple[dict[str, Tensor], list[int]]:
        """Features of audio files together, and their numbers of audio tokens."""
        rate = self.processor.feature_extractor.sampling_rate
        clips = {path: self._kept[path] for path in paths if path in self._kept}
        new = [path for path in dict.fromkeys(paths) if path not in clips]
        if new:
            audio = [read_audio(path, rate, whole=True) for path in new]
            counts = token_counts(self.processor, audio)
            computed = clip_features(self.processor, audio)
            for path, features, count in zip(new, computed, counts, strict=True):
                clips[path] = features, count
                size = sum(tensor.nbytes for tensor in features.values())
                if size <= self._room:
                    self._room -= size
                    own = {name: tensor.clone() for name, tensor in features.items()}
                    self._kept[path] = own, count
        features, counts = zip(*(clips[path] for path in paths), strict=True)
        return self.family.join(features), list(counts)


def _pad(rows: Sequence[Tensor], value: int, side: str) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        list(rows), batch_first=True, padding_value=value, padding_side=side
    )
