"""Broken audio of every format: it ends in audio or in one sentence, within limits."""

import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fault_child import DONE, run_alone
from fault_record import counted

from slimspeech.data.audio import SAMPLING_RATE, read_audio, read_blocks
from slimspeech.errors import InputError

FORMATS = ("WAV", "AIFF", "FLAC", "MP3", "OGG", "CAF", "W64", "RF64", "AU")
DAMAGED, SHORTEST_CUTS, OTHER_CUTS = 100, 100, 20
CASES = DAMAGED + SHORTEST_CUTS + OTHER_CUTS
HEADER = 120  # bytes in which headers lie


def broken(form: str) -> Iterator[bytes]:
    """A sound of half a second with bytes changed, replaced and cut off."""
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 24_000)
    soundfile.write(file, noise, 48_000, format=form)
    sound = file.getvalue()
    generator = random.Random(0)
    for number in range(DAMAGED):
        changed = bytearray(sound)
        for _ in range(generator.randint(1, 6)):
            at = generator.randrange(HEADER if number % 2 else len(sound))
            changed[at] = generator.choice([0, 1, 127, 128, 255, generator.randrange(256)])
        if number % 5 == 0:
            first = generator.randrange(len(sound))
            removed, added = generator.randrange(3000), generator.randrange(3000)
            changed[first : first + removed] = generator.randbytes(added)
        yield bytes(changed)
    for size in range(1, SHORTEST_CUTS + 1):
        yield sound[:size]
    for part in range(OTHER_CUTS):
        yield sound[: SHORTEST_CUTS + (len(sound) - SHORTEST_CUTS) * part // OTHER_CUTS]


@pytest.mark.parametrize("form", FORMATS)
def test_broken_audio_ends_in_audio_or_one_sentence(form: str, tmp_path: Path):
    message = tmp_path / "message"

    def work() -> None:
        for number, data in enumerate(broken(form)):
            path = tmp_path / str(number)
            path.write_bytes(data)
            check(path)

    with counted(f"audio, {form.lower()}", CASES):
        ended = run_alone(work, message)
        assert ended == DONE, message.read_text(encoding="utf-8") if message.exists() else ended


def check(path: Path) -> None:
    """Read at once and in blocks, the audio is the same; a sentence names the file."""
    try:
        audio = read_audio(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        return
    assert 0 < len(audio) < 60 * SAMPLING_RATE and np.isfinite(audio).all()
    blocks = np.concatenate(list(read_blocks(path)))
    np.testing.assert_allclose(blocks, audio, atol=1e-5)
