"""Padded batches of manifest rows: prompts for generation, prompts with answers for training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BatchEncoding, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.data.audio import read_audio
from slimspeech.errors import InputError
from slimspeech.models.encoder import crop, token_counts
from slimspeech.models.prompts import END_OF_TURN, Prompt

IGNORED = -100  # the label that torch's cross entropy ignores


def window_seconds(processor: ProcessorMixin) -> float:
    """Length in seconds of the longest clip that the audio encoder takes (Qwen2-Audio: 30)."""
    extractor = processor.feature_extractor
    return extractor.n_samples / extractor.sampling_rate


def extract_features(processor: ProcessorMixin, audio: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """Log-mel `features` (B, mel bins, frames) of 16 kHz mono clips, cropped, and their `mask`.

    Raises InputError as window_features() does.
    """
    features, mask = crop(*window_features(processor, audio))
    return {"features": features, "mask": mask}


def window_features(
    processor: ProcessorMixin, audio: Sequence[np.ndarray]
) -> tuple[Tensor, Tensor]:
    """Log-mel features (B, mel bins, frames of the window) of 16 kHz mono clips, and their mask.

    A clip's features do not depend on the other clips.
    Raises InputError for a clip longer than the window, which the feature extractor would cut
    without a warning.
    """
    extractor = processor.feature_extractor
    for clip in audio:
        if len(clip) > extractor.n_samples:
            raise InputError(
                f"a clip lasts {len(clip) / extractor.sampling_rate:.2f} s and the model reads "
                f"{window_seconds(processor):g} s; only translating cuts long clips "
                "(data.long_segments: split), other steps need data without them"
            )
    batch = extractor(
        list(audio),
        sampling_rate=extractor.sampling_rate,
        padding="max_length",
        return_attention_mask=True,
        return_tensors="pt",
    )
    return batch["input_features"], batch["attention_mask"]


class Collator:
    """Reads the audio of manifest rows and makes the inputs of Qwen2-Audio.

    keep: bytes of features that stay in memory, so that the next epoch does not compute them again.
    """

    def __init__(self, processor: ProcessorMixin, prompt: Prompt, keep: int = 0):
        self.processor = processor
        self.prompt = prompt
        self._room = keep
        self._kept: dict[str, tuple[Tensor, Tensor]] = {}

    def prompts(self, pairs: Sequence[str], audio_tokens: Sequence[int]) -> BatchEncoding:
        """Prompts, padded on the left, so that all translations begin at the same position.

        audio_tokens: the number of audio tokens of each clip. The ids equal those of the processor
        when it gets the audio.
        """
        placeholder = self.processor.audio_token
        texts = [
            self.prompt.render(self.processor, pair).replace(placeholder, placeholder * count)
            for pair, count in zip(pairs, audio_tokens, strict=True)
        ]
        return self.processor.tokenizer(
            texts, padding=True, padding_side="left", return_tensors="pt"
        )

    def __call__(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Prompts and answers, padded on the right. An answer ends with the end-of-turn token.

        Keys for B rows padded to L tokens: input_ids, attention_mask and labels (B, L), labels
        IGNORED outside of the answer; input_features (B, mel bins, frames of the longest clip),
        feature_attention_mask (B, frames).
        """
        features, frames = self._features([row["audio"] for row in rows])
        batch = self.prompts([row["pair"] for row in rows], token_counts(frames).tolist())
        tokenizer = self.processor.tokenizer
        # Prompt and answer are tokenised apart, so that the tokenizer merges nothing across the
        # seam and training has the same prompt tokens as generation.
        answers = tokenizer(
            [row["target"].strip() + END_OF_TURN for row in rows], add_special_tokens=False
        ).input_ids
        input_ids, labels = [], []
        for ids, mask, answer in zip(
            batch["input_ids"], batch["attention_mask"], answers, strict=True
        ):
            prompt = ids[mask.bool()]
            answer = torch.tensor(answer)
            input_ids.append(torch.cat([prompt, answer]))
            labels.append(torch.cat([torch.full_like(prompt, IGNORED), answer]))
        pad = torch.nn.utils.rnn.pad_sequence
        lengths = torch.tensor([len(ids) for ids in input_ids])
        padded = pad(input_ids, batch_first=True, padding_value=tokenizer.pad_token_id)
        return {
            "input_ids": padded,
            # From the lengths, because the pad token may be the end-of-text token too.
            "attention_mask": (torch.arange(padded.shape[1]) < lengths[:, None]).long(),
            "labels": pad(labels, batch_first=True, padding_value=IGNORED),
            "input_features": features,
            "feature_attention_mask": frames,
        }

    def _features(self, paths: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Features and mask of audio files, cropped."""
        rate = self.processor.feature_extractor.sampling_rate
        clips = {path: self._kept[path] for path in paths if path in self._kept}
        new = [path for path in dict.fromkeys(paths) if path not in clips]
        if new:
            audio = [read_audio(path, rate, whole=True) for path in new]
            computed = zip(*window_features(self.processor, audio), strict=True)
            for path, (features, mask) in zip(new, computed, strict=True):
                clips[path] = features, mask
                if features.nbytes <= self._room:
                    self._room -= features.nbytes
                    self._kept[path] = features.clone(), mask.clone()
        return crop(*map(torch.stack, zip(*(clips[path] for path in paths), strict=True)))
