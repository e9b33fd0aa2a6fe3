"""What the decoder hears: each clip's audio embeddings, computed once and kept on disk.

The audio encoder and the projector are never pruned, so a whole search hears the same embeddings.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from slimspeech.artifacts import Row
from slimspeech.checksums import fingerprint, fingerprint_rows
from slimspeech.data.audio import chunks, read_audio
from slimspeech.errors import InputError
from slimspeech.models.collation import listen, token_counts, window_seconds


@dataclass(frozen=True)
class Clip:
    """Audio that the model hears at once: a manifest row, by its number, or a part of a long one.

    audio: mono samples, or where they are known already the embeddings (audio tokens, hidden size).
    """

    row: int
    pair: str
    audio: np.ndarray | Tensor


def read_clips(rows: Sequence[Row], processor: ProcessorMixin) -> list[Clip]:
    """The rows' audio in their order, what is longer than the model's window in several clips."""
    rate = processor.feature_extractor.sampling_rate
    window = window_seconds(processor)
    return [
        Clip(number, row["pair"], part)
        for number, row in enumerate(rows)
        for part in chunks(read_audio(row["audio"], rate, whole=True), window, rate)
    ]


def encode_clips(
    model: PreTrainedModel, processor: ProcessorMixin, clips: Sequence[Clip], batch_size: int = 16
) -> list[Clip]:
    """The clips with their embeddings, on the CPU, in place of their samples; order is kept."""
    longest_first = sorted(range(len(clips)), key=lambda i: -len(clips[i].audio))
    embeddings: dict[int, Tensor] = {}
    with tqdm(total=len(clips), desc="listen", unit="clip") as bar:
        for start in range(0, len(clips), batch_size):
            batch = longest_first[start : start + batch_size]
            encoded = listen(model, processor, [clips[i].audio for i in batch])
            embeddings |= zip(batch, (clip.cpu() for clip in encoded), strict=True)
            bar.update(len(batch))
    return [Clip(clip.row, clip.pair, embeddings[i]) for i, clip in enumerate(clips)]


def origin(model: str, segments: Sequence[Row], precision: str) -> dict[str, str]:
    """What embeddings, and the scores of a search, are made from; other origins do not mix."""
    return {
        "model": fingerprint(model),
        "segments": fingerprint_rows(segments),
        "precision": precision,
    }


def write_embeddings(path: str | Path, clips: Sequence[Clip], made_from: dict[str, str]) -> None:
    """Encoded clips as safetensors, whole or not at all. made_from: what has to fit on reading."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    tensors = {
        f"{number:06d}.{clip.row}.{clip.pair}": clip.audio.clone()
        for number, clip in enumerate(clips)
    }
    # One key: safetensors writes several in another order each time.
    save_file(tensors, partial, metadata={"made_from": json.dumps(made_from, sort_keys=True)})
    os.replace(partial, path)


def read_embeddings(path: str | Path, made_from: dict[str, str]) -> list[Clip]:
    """The clips that write_embeddings() was given, in their order.

    Raises InputError if they were made from something else, or the file is no safetensors.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = json.loads((file.metadata() or {}).get("made_from", "{}"))
            names = sorted(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
    except Exception as error:  # safetensors raises its own type, which it does not export whole
        raise InputError(f"{path}: cannot be read ({error}); remove it and run again") from error
    for key, value in made_from.items():
        if stored.get(key) != value:
            raise InputError(
                f"{path}: made from another {key} ({str(stored.get(key))[:12]}, not {value[:12]}); "
                "remove it and run again"
            )
    clips = []
    for name in names:
        _, row, pair = name.split(".")
        clips.append(Clip(int(row), pair, tensors[name]))
    return clips


def lengths(clips: Sequence[Clip], processor: ProcessorMixin) -> list[int]:
    """Audio tokens of each clip."""
    return [
        len(clip.audio)
        if isinstance(clip.audio, Tensor)
        else token_counts(processor, [clip.audio])[0]
        for clip in clips
    ]
