"""Audio whose headers are wrong or say nothing: every sample is read, or what is missing is said.

The kinds are from public trackers: files from pipes, joined files, sizes that wrap at 4 GiB.
"""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slimspeech.data import containers
from slimspeech.data.audio import read_audio, read_blocks, read_header
from slimspeech.data.mpeg import parse_header
from slimspeech.errors import InputError

RATE = 16_000
JUNK = np.random.default_rng(1).integers(0, 250, 5000, dtype=np.uint8).tobytes()
ID3 = b"ID3\x03\x00\x00" + bytes([0, 0, 40, 0]) + JUNK + bytes(40 * 128 - len(JUNK))
ITEM = struct.pack("<II", len(JUNK), 2) + b"Cover Art\0" + JUNK
APE = ITEM + b"APETAGEX" + struct.pack("<IIII", 2000, len(ITEM) + 32, 1, 0) + bytes(8)
LYRICS = b"LYRICSBEGIN" + b"IND0000200ETT00050" + bytes(50)
LYRICS += b"%06dLYRICS200" % len(LYRICS)
ID3V1 = b"TAG" + bytes(125)
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\0\0\0Lavf60.3.100\0\0"


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Like speech in that no block of it repeats."""
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(0).uniform(-0.3, 0.3, shape).astype(np.float32)


def encoded(form: str, seconds: float = 2, rate: int = RATE, channels: int = 1, **how) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, noise(seconds, rate, channels), rate, format=form, **how)
    return file.getvalue()


def with_field(data: bytes, at: int, form: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


def without_header(mp3: bytes) -> bytes:
    """An MP3 of a pipe: without the first frame, which counts the others."""
    return mp3[parse_header(mp3).size :]


def counted(mp3: bytes) -> int:
    """Samples by the frames that LAME counted."""
    at = max(mp3.find(b"Xing"), mp3.find(b"Info")) + 8
    return int.from_bytes(mp3[at : at + 4], "big") * 1152


def samples(path: Path, data: bytes) -> np.ndarray:
    """As read in blocks, which must be as read at once."""
    path.write_bytes(data)
    audio = read_audio(path)
    np.testing.assert_allclose(np.concatenate(list(read_blocks(path))), audio, atol=1e-6)
    return audio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk"


# Of 32,000 samples in 64,000 bytes.
SIZES = {
    "not written": 0,
    "one byte too large": 64_001,
    "16 bytes too large": 64_016,
    "44 bytes too large": 64_044,
    "two bytes too small": 63_998,
    "wrapped": 32_000,
    "sox": 0x7FFFF000,
    "lame": 0x7FFFFFFF,
    "arecord": 0x80000000,
    "a page below 4 GiB": 0xFFFFF000,
    "ffmpeg": 0xFFFFFFFF,
}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("form", ["WAV", "AIFF"])
def test_all_samples_are_read_whatever_the_size_in_the_header(path, form, size, caplog):
    data = encoded(form)
    field, order, more = (40, "<I", 0) if form == "WAV" else (data.find(b"SSND") + 4, ">I", 8)
    changed = with_field(data, field, order, min(size + more, 2**32 - 1))
    np.testing.assert_array_equal(samples(path, changed), samples(path, data))
    assert not caplog.messages
    assert read_header(path.with_name("talk")).seconds == 2


@pytest.mark.parametrize("value", [0, 1, 32_000, 63_999, 2**31, 2**32 - 1])
@pytest.mark.parametrize("form", ["AU", "CAF", "W64", "RF64"])
def test_other_formats_are_read_to_the_end(path, form, value):
    data = encoded(form)
    field, order = {
        "AU": (8, ">I"),
        "CAF": (data.find(b"data") + 4, ">q"),
        "W64": (data.find(b"data") + 16, "<q"),
        "RF64": (data.find(b"ds64") + 16, "<q"),
    }[form]
    changed = with_field(data, field, order, value)
    np.testing.assert_array_equal(samples(path, changed), samples(path, data))


def test_a_size_that_is_far_too_large_warns_with_both_lengths(path, caplog):
    audio = samples(path, with_field(encoded("WAV"), 40, "<I", 96_000))
    assert len(audio) == 32_000
    assert "promises 48000 samples (3.00 s)" in caplog.messages[0]
    assert "holds 32000 (2.00 s)" in caplog.messages[0]
    with pytest.raises(InputError, match="cut short"):
        read_audio(path, whole=True)


@pytest.mark.parametrize("behind", [LIST, LIST[:20], bytes(2000), ID3V1, b""])
def test_what_follows_the_samples_is_no_audio(path, behind, caplog):
    data = encoded("WAV")
    assert len(samples(path, data + behind)) == 32_000
    assert not caplog.messages
    assert read_header(path).is_ready


def test_chunks_before_the_samples_of_a_pipe(path):
    data = encoded("WAV")
    changed = with_field(data[:36] + LIST + data[36:], 40 + len(LIST), "<I", 0xFFFFFFFF)
    np.testing.assert_array_equal(samples(path, changed), samples(path, data))
    path.write_bytes(changed)
    assert not read_header(path).is_ready  # no copy of it may go into the corpus


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM"])
def test_every_encoding_of_wav(path, subtype):
    data = encoded("WAV", subtype=subtype)
    field = data.rfind(b"data") + 4
    for size in (0, (len(data) - field) // 2048 * 1024, 0x7FFFF000):
        changed = with_field(data, field, "<I", size)
        np.testing.assert_array_equal(samples(path, changed), samples(path, data))


def test_more_than_a_32_bit_size_can_say(path, monkeypatch):
    monkeypatch.setattr(containers, "LARGEST", 10_001)
    data = encoded("WAV", channels=2, subtype="PCM_24")
    changed = with_field(data, data.rfind(b"data") + 4, "<I", 30_000)
    np.testing.assert_array_equal(samples(path, changed), samples(path, data))


def test_mp3_inside_a_wav(path):
    mp3 = without_header(encoded("MP3", rate=48_000))
    head = struct.pack("<4sI4s4sIHHIIHHHHIHHH", b"RIFF", 0, b"WAVE", b"fmt ", 30, 0x55, 1, 48_000,
                       16_000, 1, 0, 12, 1, 0, 1152, 1, 0)  # fmt: skip
    data = head + b"data" + struct.pack("<I", 2**32 - 1) + mp3
    np.testing.assert_array_equal(samples(path, data), samples(path, mp3))


@pytest.mark.parametrize("form", ["MP3", "FLAC", "OGG", "WAV", "AIFF", "CAF", "W64", "RF64"])
def test_joined_files_are_read_one_after_the_other(path, form, caplog):
    first = encoded(form, 2, 48_000)
    second = encoded(form, 1, 44_100, channels=2)
    expected = np.concatenate([samples(path, first), samples(path, second), samples(path, first)])
    np.testing.assert_array_equal(samples(path, first + second + first), expected)
    assert not caplog.messages


def test_a_joined_file_that_no_decoder_reads_is_told(path, caplog):
    data = encoded("OGG", subtype="VORBIS")
    other = data.replace(b"vorbis", b"speeex")[: 3 * len(data) // 4]
    np.testing.assert_array_equal(samples(path, data + other), samples(path, data))
    assert f"{len(other)} bytes that no decoder reads are left out" in caplog.text


def test_wavs_of_pipes_that_were_joined(path):
    data = with_field(encoded("WAV"), 40, "<I", 0x7FFFF000)
    expected = np.concatenate([samples(path, data)] * 2)
    np.testing.assert_array_equal(samples(path, data + data), expected)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("before", [b"", ID3, ID3 + ID3], ids=["bare", "picture", "two pictures"])
@pytest.mark.parametrize("quality", ["CONSTANT", "VARIABLE"])
def test_mp3_without_a_header_is_read_to_the_end(path, rate, before, quality):
    mp3 = encoded("MP3", 12, rate, bitrate_mode=quality)
    per_frame = 1 if rate > 24_000 else 0.5
    path.write_bytes(before + without_header(mp3))
    assert len(read_audio(path, rate)) == counted(mp3) * per_frame
    assert read_header(path).seconds is None


def test_mp3_that_begins_in_silence(path):
    """The length that is guessed from its first, small frames is too large; then it is `cut`."""
    file = io.BytesIO()
    audio = np.concatenate([np.zeros((5 * 44_100, 1)), noise(5, 44_100)])
    soundfile.write(file, audio, 44_100, format="MP3", bitrate_mode="VARIABLE")
    path.write_bytes(without_header(file.getvalue()))
    assert len(read_audio(path, 44_100, whole=True)) == counted(file.getvalue())


def test_mp3_with_a_header_is_decoded_as_libsndfile_does(path):
    path.write_bytes(encoded("MP3", 12, 44_100))
    expected, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(read_audio(path, 44_100), expected)


@pytest.mark.parametrize(
    "behind", [ID3V1, APE, LYRICS, LYRICS + APE + ID3V1, JUNK[:700], bytes(9000)]
)
def test_tags_behind_an_mp3_are_no_audio(path, behind, caplog):
    for mp3 in (encoded("MP3"), without_header(encoded("MP3"))):
        np.testing.assert_array_equal(samples(path, mp3 + behind), samples(path, mp3))
    assert not caplog.messages


@pytest.mark.parametrize("size", [0, 32, 5_000, 10**6, 2**32 - 1])
def test_a_tag_of_another_size_hides_no_audio(path, size):
    tag = b"APETAGEX" + struct.pack("<IIII", 2000, size, 1, 0) + bytes(8)
    for form in ("MP3", "FLAC", "WAV"):
        data = encoded(form)
        np.testing.assert_allclose(samples(path, data + tag)[:32_000], samples(path, data)[:32_000])


def test_mp3_goes_on_behind_other_bytes(path, caplog):
    mp3 = encoded("MP3", 4, 44_100)
    bare = without_header(mp3)
    assert len(samples(path, bare + APE + bare)) == 2 * len(samples(path, bare))
    middle = bare[: len(bare) // 2] + JUNK + bare[len(bare) // 2 :]
    assert len(samples(path, middle)) == pytest.approx(len(samples(path, bare)), abs=0.05 * RATE)
    caplog.clear()
    samples(path, mp3 + b"not audio\n" * 1000)
    assert "10000 bytes that no decoder reads" in caplog.messages[0]


@pytest.mark.parametrize(
    "before",
    [b"", ID3 + bytes(5000), b"ID3\x03\x00\x00\x7f\x7f\x7f\x7f", JUNK * 20, ID3 + JUNK],
    ids=["nothing", "padding", "a tag that is longer than the file", "junk", "tag and junk"],
)
@pytest.mark.parametrize("cut", [0, 300], ids=["whole", "inside a frame"])
def test_mp3_behind_other_bytes(path, before, cut):
    file = io.BytesIO()
    audio = np.concatenate([np.zeros((5 * 44_100, 1)), noise(5, 44_100)])
    soundfile.write(file, audio, 44_100, format="MP3", bitrate_mode="VARIABLE")
    bare = without_header(file.getvalue())
    path.write_bytes(before + bare[cut:])
    frames = (counted(file.getvalue()) - len(read_audio(path, 44_100))) / 1152
    assert frames == (3 if cut else 0)  # of silence, 104 bytes each


def test_the_byte_that_pads_an_odd_size_is_no_sample(path):
    data = encoded("WAV", subtype="PCM_U8")[:-1]
    data = with_field(data, 40, "<I", 31_999)
    expected = samples(path, data)
    assert len(expected) == 31_999
    np.testing.assert_array_equal(samples(path, data + bytes(1)), expected)
    np.testing.assert_array_equal(samples(path, data + bytes(1) + LIST), expected)


@pytest.mark.parametrize("total", [0, 10_000, 31_999])
def test_flac_is_read_to_the_end_whatever_its_header_says(path, total):
    data = bytearray(encoded("FLAC"))
    data[22:26] = total.to_bytes(4, "big")
    np.testing.assert_array_equal(samples(path, bytes(data)), samples(path, encoded("FLAC")))


@pytest.mark.parametrize("behind", [ID3V1, JUNK, JUNK * 20])
def test_what_follows_a_flac_takes_none_of_its_samples(path, behind):
    data = encoded("FLAC")
    np.testing.assert_array_equal(samples(path, data + behind), samples(path, data))


def test_a_damaged_flac_is_refused(path):
    data = bytearray(encoded("FLAC", 10))
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        read_audio(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_with_a_hole_or_without_its_end(path, subtype, caplog):
    data = encoded("OGG", 4, 48_000, subtype=subtype)
    half = len(data) // 2
    assert len(samples(path, data[:half])) > 0.8 * RATE
    assert "cut short, it ends inside a page" in caplog.messages[0]
    caplog.clear()
    pages = data[: data.rfind(b"OggS")]
    assert len(samples(path, pages)) > 0.8 * RATE
    assert "may be cut short, there is no end mark" in caplog.messages[0]
    caplog.clear()
    audio = samples(path, data[:half] + data[half + 3000 :])
    assert RATE < len(audio) < 4 * RATE
    assert "promises 192000 samples (4.00 s)" in caplog.messages[0]
    caplog.clear()
    assert len(samples(path, data + data[:half])) > 4.8 * RATE
    assert "cut short" in caplog.messages[0]


def test_a_read_error_is_no_end_of_the_audio(path, monkeypatch):
    path.write_bytes(encoded("FLAC", 10))

    class Failing(io.FileIO):
        def read(self, count=-1):
            if self.tell() > 100_000:
                raise OSError(5, "Input/output error")
            return super().read(count)

    monkeypatch.setattr("builtins.open", lambda *_: Failing(path))
    with pytest.raises(InputError, match="Input/output error"):
        read_audio(path)
