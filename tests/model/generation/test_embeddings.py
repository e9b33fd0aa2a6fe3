"""The clips' embeddings: the encoder's own, kept on disk, and never those of something else."""

import numpy as np
import pytest
import torch
from tiny_model import make_row

from slimspeech.data.audio import write_wav
from slimspeech.errors import InputError
from slimspeech.generation.embeddings import (
    Clip,
    encode_clips,
    lengths,
    origin,
    read_clips,
    read_embeddings,
    write_embeddings,
)
from slimspeech.generation.translation import GenerationSettings, translate, translate_variants

MADE_FROM = {"model": "a" * 64, "segments": "b" * 64}


def test_translations_from_embeddings_are_those_from_audio(
    build, processor, rows, prompt, tmp_path
):
    model, settings = build(3), GenerationSettings(4, 12, "fp32")
    clips = encode_clips(model, processor, read_clips(rows, processor), batch_size=4)
    write_embeddings(tmp_path / "embeddings.safetensors", clips, MADE_FROM)
    kept = read_embeddings(tmp_path / "embeddings.safetensors", MADE_FROM)
    [found] = translate_variants(model, processor, kept, prompt, settings, range(4), [None])
    assert found == translate(model, processor, rows, prompt, settings)


def test_lengths_are_known_before_encoding(build, processor, rows):
    clips = read_clips(rows, processor)
    assert lengths(clips, processor) == [int(25 * row["duration"]) for row in rows]
    encoded = encode_clips(build(3), processor, clips)
    assert lengths(encoded, processor) == lengths(clips, processor)


def test_order_rows_and_pairs_come_back(processor, tmp_path):
    write_wav(tmp_path / "long.wav", np.zeros(16_000 * 13))
    row = make_row("long", str(tmp_path / "long.wav"), 13.0, "en-zh", "")
    clips = read_clips([row, row], processor)
    assert [clip.row for clip in clips] == [0, 0, 0, 1, 1, 1]
    clips = [Clip(clip.row, clip.pair, torch.full((2, 3), i)) for i, clip in enumerate(clips)]
    write_embeddings(tmp_path / "e.safetensors", clips, MADE_FROM)
    found = read_embeddings(tmp_path / "e.safetensors", MADE_FROM)
    assert [(clip.row, clip.pair) for clip in found] == [(i // 3, "en-zh") for i in range(6)]
    assert [int(clip.audio[0, 0]) for clip in found] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("key", ["model", "segments"])
def test_embeddings_of_something_else_are_refused(key, tmp_path):
    path = tmp_path / "embeddings.safetensors"
    write_embeddings(path, [Clip(0, "en-de", torch.zeros(2, 3))], MADE_FROM)
    with pytest.raises(InputError, match=f"another {key}"):
        read_embeddings(path, MADE_FROM | {key: "c" * 64})


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "embeddings.safetensors"
    write_embeddings(path, [Clip(0, "en-de", torch.zeros(2, 3))], MADE_FROM)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="embeddings.safetensors: cannot be read"):
        read_embeddings(path, MADE_FROM)


def test_another_teacher_or_segment_is_another_origin(trained, rows, tmp_path):
    first = origin(trained[0], rows, "fp32")
    assert first == origin(trained[0], rows, "fp32")
    assert first != origin(trained[0], rows[1:], "fp32")
    assert first != origin(trained[0], rows, "bf16")
