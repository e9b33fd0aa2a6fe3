import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slimspeech.data.audio import (
    Measure,
    chunks,
    duration,
    measure,
    read_audio,
    read_blocks,
    read_header,
    write_wav,
)
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
        ("clip.wav", "only a header", "no samples"),
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


@pytest.mark.parametrize(
    ("name", "rate", "message"),
    [
        ("clip.wav", SECOND, r"promises 32000 samples \(2.00 s\).* holds 21326 \(1.33 s\)"),
        ("clip.flac", SECOND, r"promises 32000 samples \(2.00 s\)"),
        ("clip.mp3", 48_000, r"promises 96000 samples \(2.00 s\)"),
        ("clip.ogg", SECOND, "ends inside a page"),
    ],
)
def test_a_clip_that_is_cut_short_is_read_with_a_warning(
    tmp_path: Path, name: str, rate: int, message: str, caplog
):
    path = tmp_path / name
    noise = np.random.default_rng(0).normal(0, 0.01, 2 * rate)
    soundfile.write(path, sine(2, rate) + noise, rate)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert 0.7 * SECOND < len(read_audio(path)) < 1.7 * SECOND
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"{path}: cut short")
    assert re.search(message, caplog.messages[0])
    with pytest.raises(InputError, match="cut short"):
        read_audio(path, whole=True)
    with pytest.raises(InputError, match="cut short"):
        duration(path)


def test_a_part_of_a_talk_is_the_same_in_every_format(tmp_path: Path):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, size=25 * SECOND)
    for suffix in ("wav", "flac", "mp3"):
        path = tmp_path / f"talk.{suffix}"
        soundfile.write(path, audio, SECOND)
        part = read_audio(path, start=12.5, seconds=11.0)
        np.testing.assert_array_equal(part, read_audio(path)[200_000:376_000])


def test_a_part_behind_the_end_names_both_lengths(tmp_path: Path):
    for suffix in ("wav", "flac", "mp3"):
        path = tmp_path / f"talk.{suffix}"
        soundfile.write(path, sine(2, SECOND), SECOND)
        for start in (1.0, 3.0):
            with pytest.raises(InputError, match=rf"ends at {start + 2:.3f} s.* file at 2.000 s"):
                read_audio(path, start=start, seconds=2.0)


def test_channels_that_cancel_leave_the_louder_one(tmp_path: Path, caplog):
    path = tmp_path / "talk.wav"
    audio = sine(12, SECOND)
    soundfile.write(path, np.stack([-0.9 * audio, audio], axis=1), SECOND, "FLOAT")
    np.testing.assert_allclose(read_audio(path), audio, atol=1e-6)
    assert "cancel" in caplog.text
    caplog.clear()
    soundfile.write(path, np.stack([-0.5 * audio, audio], axis=1), SECOND, "FLOAT")
    np.testing.assert_allclose(read_audio(path), audio / 4, atol=1e-6)
    assert not caplog.text


def test_measure_counts_and_stops_behind_the_limit(tmp_path: Path):
    path = tmp_path / "talk.mp3"
    soundfile.write(path, sine(25, SECOND), SECOND)
    assert measure(path) == Measure(25.0, ())
    assert measure(path, limit=12).seconds == 20.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\x00\x05\x16\x07\x00\x02" + bytes(200), "macOS"),
        (b"\x00\x00\x00\x20ftypM4A " + bytes(200), "M4A, convert it with ffmpeg"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01" + bytes(200), "WebM"),
        (b"0&\xb2u\x8ef\xcf\x11" + bytes(200), "WMA"),
        (b"#!AMR\n" + bytes(200), "AMR"),
        (b"\xff\xf1\x50\x40\x2e\x7f\xfc" + bytes(200), "AAC"),
        (b"\x1f\x8b\x08\x00" + bytes(200), "gzip"),
        (b"<!DOCTYPE html><title>404</title>", "web page"),
    ],
)
def test_what_is_often_taken_for_audio_is_named(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "talk.wav").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_header(tmp_path / "talk.wav")


def test_integers_that_were_stored_as_floats_are_not_cut_off_at_full_scale(tmp_path: Path):
    path = tmp_path / "talk.wav"
    soundfile.write(path, sine(1, SECOND) * 2**15, SECOND, subtype="FLOAT")
    with pytest.raises(InputError, match="float samples up to .* where 1 is full scale"):
        read_audio(path)
    soundfile.write(path, sine(1, SECOND) * 3, SECOND, subtype="FLOAT")
    assert len(read_audio(path)) == SECOND


def test_what_is_no_regular_file_is_named(tmp_path: Path):
    (tmp_path / "talk.wav").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_header(tmp_path / "talk.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="not a regular file"):
        read_header(tmp_path / "pipe.wav")
    with pytest.raises(InputError, match="cannot be read"):
        read_header(tmp_path / f"{'a' * 300}.wav")
    (tmp_path / "link.wav").symlink_to("gone.wav")
    with pytest.raises(InputError, match=r"link\.wav: is a link to gone\.wav"):
        read_header(tmp_path / "link.wav")


def test_a_name_that_is_not_utf8_is_read(tmp_path: Path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    soundfile.write(str(tmp_path / "talk.wav"), sine(0.5, SECOND), SECOND)
    os.rename(tmp_path / "talk.wav", path)
    assert len(read_audio(os.fsdecode(path))) == 8_000
    os.truncate(path, 0)
    with pytest.raises(InputError, match=r"/caf\\xe9\.wav: the file has 0 bytes") as error:
        read_audio(os.fsdecode(path))
    str(error.value).encode()


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
