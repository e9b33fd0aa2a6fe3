from pathlib import Path

import numpy as np
import pytest
import soundfile

from slimspeech.data.audio import chunks, duration, read_audio, read_blocks, read_header, write_wav
from slimspeech.errors import InputError

SECOND = 16_000


def sine(seconds: float, rate: int) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_any_rate_and_format_becomes_16_khz_mono(tmp_path: Path, rate: int, suffix: str):
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, np.stack([sine(0.5, rate)] * 2, axis=1), rate)
    audio = read_audio(path)
    assert audio.dtype == np.float32 and audio.ndim == 1
    assert len(audio) == pytest.approx(0.5 * SECOND, abs=0.08 * SECOND)  # mp3 pads
    assert duration(path) == pytest.approx(0.5, abs=0.08)
    spectrum = np.abs(np.fft.rfft(audio[1000:5000]))
    assert spectrum.argmax() * SECOND / 4000 == pytest.approx(300, abs=5)


def test_channels_are_averaged(tmp_path: Path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.stack([np.full(800, 0.5), np.full(800, 0.1)], axis=1), SECOND, "FLOAT")
    np.testing.assert_allclose(read_audio(path), 0.3, rtol=1e-6)


def test_written_wav_comes_back(tmp_path: Path):
    audio = sine(0.2, SECOND).astype(np.float32)
    write_wav(tmp_path / "new" / "clip.wav", audio)
    assert read_header(tmp_path / "new" / "clip.wav").is_ready
    np.testing.assert_allclose(read_audio(tmp_path / "new" / "clip.wav"), audio, atol=1 / 32768)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.wav"]


def spoil(path: Path, how: str) -> None:
    samples = sine(0.5, SECOND)
    soundfile.write(path, samples, SECOND, format="FLAC" if path.suffix == ".flac" else "WAV")
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "0 bytes":
        path.write_bytes(b"")
    elif how == "cut short":
        path.write_bytes(content[: len(content) * 2 // 3])
    elif how == "only a header":
        path.write_bytes(content[:44])
    elif how == "text":
        path.write_text("no audio at all, but a page that says 404")
    elif how == "not finite":
        soundfile.write(path, np.where(samples > 0.39, np.nan, samples), SECOND, subtype="FLOAT")
    elif how == "absurd rate":
        soundfile.write(path, samples, 1_000)
    elif how == "too high rate":
        soundfile.write(path, samples, 1_000_000)
    elif how == "no samples":
        soundfile.write(path, samples[:0], SECOND)


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("clip.wav", "missing", "no such audio file"),
        ("clip.wav", "0 bytes", "0 bytes"),
        ("clip.wav", "cut short", "promises 8000 samples .* holds 5326"),
        ("clip.wav", "only a header", "cut short"),
        ("clip.flac", "cut short", "damaged|cut short"),
        ("clip.wav", "text", "not audio that soundfile can read"),
        ("clip.wav", "not finite", "not finite"),
        ("clip.wav", "absurd rate", "1000 Hz"),
        ("clip.wav", "too high rate", "1000000 Hz"),
        ("clip.wav", "no samples", "no samples"),
    ],
)
@pytest.mark.parametrize("read", [read_audio, lambda path: list(read_blocks(path))])
def test_bad_files_are_named(tmp_path: Path, name: str, how: str, message: str, read):
    spoil(tmp_path / name, how)
    with pytest.raises(InputError, match=message) as error:
        read(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


def test_truncated_mp3_is_refused(tmp_path: Path):
    path = tmp_path / "clip.mp3"
    soundfile.write(path, sine(2, 48_000), 48_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cut short"):
        read_audio(path)


def test_wav_of_a_streaming_writer_is_read(tmp_path: Path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, sine(0.5, SECOND), SECOND)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert len(read_audio(path)) == 8_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
def test_blocks_are_the_audio_in_pieces(tmp_path: Path, rate: int, suffix: str):
    path = tmp_path / f"talk.{suffix}"
    soundfile.write(path, np.stack([sine(25, rate)] * 2, axis=1), rate)
    blocks = list(read_blocks(path))
    assert len(blocks) >= 3 and max(map(len, blocks)) <= 10.1 * SECOND
    assert all(block.dtype == np.float32 for block in blocks)
    np.testing.assert_allclose(np.concatenate(blocks), read_audio(path), atol=1e-6)


@pytest.mark.parametrize("samples", [1, 95_999, 96_000, 96_001, 192_000, 500_000])
def test_chunks_are_the_fewest_and_lose_nothing(samples: int):
    audio = np.random.default_rng(0).normal(size=samples).astype(np.float32)
    parts = chunks(audio, 6.0)
    np.testing.assert_array_equal(np.concatenate(parts), audio)
    assert len(parts) == -(-samples // 96_000)
    assert max(map(len, parts)) <= 96_000 and min(map(len, parts)) > 0


def test_a_clip_of_just_the_longest_length_stays_whole():
    assert len(chunks(np.zeros(29, np.float32), 0.29, sampling_rate=100)) == 1


def test_chunks_cut_in_the_pause():
    audio = np.random.default_rng(0).normal(size=8 * SECOND).astype(np.float32)
    audio[70_000:72_000] = 0.0
    first, second = chunks(audio, 6.0)
    assert 70_000 < len(first) < 72_000


def test_chunks_of_silence_are_even():
    assert [len(part) for part in chunks(np.zeros(10 * SECOND, np.float32), 6.0)] == [80_000] * 2


def test_chunks_stay_short_where_the_pause_is_too_late():
    audio = np.random.default_rng(0).normal(size=int(11.9 * SECOND)).astype(np.float32)
    audio[97_000:99_000] = 0.0
    assert max(map(len, chunks(audio, 6.0))) <= 96_000
