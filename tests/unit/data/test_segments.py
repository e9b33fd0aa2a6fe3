import logging
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from project import REPOSITORY
from settings import configured

from slimspeech.data.audio import chunks, read_audio
from slimspeech.data.segments import DataSettings, languages_of, prepare_segments
from slimspeech.errors import InputError

SETTINGS = configured(DataSettings, max_seconds=6.0, min_seconds=0.1)
LANGUAGES = ["en", "de", "zh"]


def noise(seconds: float, rate: int = 16_000, channels: int = 1) -> np.ndarray:
    shape = (round(seconds * rate), channels)
    return np.random.default_rng(0).uniform(-0.5, 0.5, size=shape)


def test_languages_of_pairs():
    assert languages_of(["en-de", "en-zh"]) == ["en", "de", "zh"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "folder"])
def test_rows_and_clips(tmp_path: Path, corpus, kind: str):
    folder = tmp_path / "data" / "audio"
    rows = prepare_segments(corpus.pack(kind), folder, SETTINGS, LANGUAGES)
    assert len(rows) == 8
    assert rows[5] == {
        "id": "eval-2",
        "talk": "eval.talk.1",
        "split": "eval",
        "index": 2,
        "audio": str(folder / "eval" / "sent_2.wav"),
        "duration": 0.22,
        "texts": {"en": "This is um a model.", "de": "Das ist ein Modell.", "zh": "这是一个模型。"},
        "corpus": "acl6060",
    }
    assert " ".join(rows[5]) == "id talk split index audio duration texts corpus"
    for row in rows:  # a clip that is ready is copied byte by byte
        original = corpus.clip(row["split"], row["index"])
        assert Path(row["audio"]).read_bytes() == original.read_bytes()
    assert os.listdir(tmp_path / "data") == ["audio"]


def test_other_rates_and_channels_are_converted_and_logged(tmp_path: Path, corpus, caplog):
    soundfile.write(corpus.clip("dev", 1), noise(0.5, 44_100, 2), 44_100, subtype="FLOAT")
    with caplog.at_level(logging.INFO):
        rows = prepare_segments(corpus.root, tmp_path / "audio", SETTINGS, LANGUAGES)
    written = soundfile.info(rows[0]["audio"])
    assert (written.samplerate, written.channels, written.subtype) == (16_000, 1, "PCM_16")
    assert rows[0]["duration"] == pytest.approx(0.5, abs=0.001)
    assert "44100 Hz, 2 channels" in caplog.text


def test_a_long_segment_to_be_split_stays_whole(tmp_path: Path, corpus):
    soundfile.write(corpus.clip("dev", 2), noise(7), 16_000)
    settings = configured(DataSettings, max_seconds=6.0, long_segments="split")
    rows = prepare_segments(corpus.root, tmp_path / "audio", settings, LANGUAGES)
    assert rows[1]["duration"] == 7.0
    assert soundfile.info(rows[1]["audio"]).frames == 7 * 16_000


def test_another_run_replaces_the_first(tmp_path: Path, corpus):
    folder = tmp_path / "audio"
    (tmp_path / ".audio.partial" / "audio").mkdir(parents=True)  # left by a killed job
    prepare_segments(corpus.root, folder, SETTINGS, LANGUAGES)
    (folder / "old.wav").write_bytes(b"of another run")
    prepare_segments(corpus.root, folder, SETTINGS, LANGUAGES)
    assert sorted(os.listdir(folder)) == ["dev", "eval"]
    assert sorted(os.listdir(tmp_path)) == ["audio", "corpus"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:3000])


@pytest.mark.parametrize(
    ("spoil", "messages"),
    [
        (lambda path: path.write_bytes(b""), ["dev/sent_3.wav", "0 bytes"]),
        (cut, ["dev/sent_3.wav", "cut short"]),
        (lambda path: path.write_bytes(b"<html>"), ["dev/sent_3.wav", "soundfile can read"]),
        (
            lambda path: soundfile.write(path, noise(0.5) + np.inf, 16_000, subtype="FLOAT"),
            ["dev/sent_3.wav", "finite"],
        ),
        (lambda path: soundfile.write(path, noise(1), 2_000), ["dev/sent_3.wav", "2000 Hz"]),
        (
            lambda path: soundfile.write(path, noise(0.05), 16_000),
            ["dev/sent_3.wav: 0.050 s is under 0.1 s", "data/min_seconds"],
        ),
        (
            lambda path: soundfile.write(path, noise(6.1), 16_000),
            ["dev/sent_3.wav: 6.100 s is over 6.0 s", "data/max_seconds"],
        ),
        (lambda path: path.unlink(), ["dev", "4 lines", "3 clips", "without one is 3"]),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_bad_clips_are_named_and_no_file_is_left(
    tmp_path: Path, corpus, kind: str, spoil, messages: list[str]
):
    spoil(corpus.clip("dev", 3))
    archive = corpus.pack(kind)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as error:
        prepare_segments(archive, tmp_path / "audio", SETTINGS, LANGUAGES)
    assert all(message in str(error.value) for message in [str(archive), *messages])
    assert sorted(tmp_path.rglob("*")) == before


def test_all_bad_clips_are_in_one_message(tmp_path: Path, corpus):
    for split in ("dev", "eval"):
        for index in (1, 2, 3, 4):
            corpus.clip(split, index).write_bytes(b"")
    with pytest.raises(InputError, match=r"dev/sent_1\.wav.*eval/sent_1\.wav.*and 3 more"):
        prepare_segments(corpus.root, tmp_path / "audio", SETTINGS, LANGUAGES)


DROP = configured(DataSettings, max_seconds=6.0, min_seconds=0.1, bad_segments="drop")


def test_bad_segments_can_be_left_out(tmp_path: Path, corpus, caplog):
    corpus.text("dev", "de").write_text("Hallo.\n\nEs\x0b.\nDanke.\n", encoding="utf-8")
    corpus.text("dev", "zh").write_text("你好。\n\n它很小。\n谢谢。\n", encoding="utf-8")
    corpus.clip("eval", 1).write_bytes(b"<html>")
    soundfile.write(corpus.clip("eval", 2), noise(0.05), 16_000)
    rows = prepare_segments(corpus.root, tmp_path / "audio", DROP, LANGUAGES)
    assert [row["id"] for row in rows] == ["dev-1", "dev-4", "eval-3", "eval-4"]
    assert [row["texts"]["en"] for row in rows[:2]] == ["Hello there.", "Thank you."]
    [warning] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("4 segments that cannot be used are left out")
    assert "line 2 is empty in" in warning and "line 3 has the control character U+000B" in warning
    assert "eval/sent_1.wav" in warning and "and 1 more" in warning
    assert "sent_2.wav" not in warning
    assert sorted(path.name for path in (tmp_path / "audio" / "dev").iterdir()) == [
        *("sent_1.wav", "sent_4.wav"),
    ]


def test_what_is_wrong_with_a_whole_corpus_is_an_error_all_the_same(tmp_path: Path, corpus):
    corpus.text("dev", "de").write_text("Hallo.\nDas.\nEs.\n", encoding="utf-8")
    with pytest.raises(InputError, match="3 lines in"):
        prepare_segments(corpus.root, tmp_path / "audio", DROP, LANGUAGES)
    for split in ("dev", "eval"):
        corpus.text(split, "de").write_text("\n\n\n\n", encoding="utf-8")
    with pytest.raises(InputError, match="no segment is left: 8 cannot be used"):
        prepare_segments(corpus.root, tmp_path / "audio", DROP, LANGUAGES)


def test_an_error_leaves_the_last_good_audio(tmp_path: Path, corpus):
    prepare_segments(corpus.root, tmp_path / "audio", SETTINGS, LANGUAGES)
    corpus.clip("dev", 1).write_bytes(b"")
    with pytest.raises(InputError):
        prepare_segments(corpus.root, tmp_path / "audio", SETTINGS, LANGUAGES)
    assert len(list((tmp_path / "audio").rglob("*.wav"))) == 8


@pytest.mark.parametrize(("free", "message"), [(1000, "unpacked,"), (40_000, "16 kHz audio")])
def test_the_disk_is_checked_first(tmp_path: Path, corpus, monkeypatch, free, message):
    archive = corpus.pack("zip" if free == 1000 else "folder")
    before = sorted(tmp_path.rglob("*"))
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("slimspeech.artifacts.shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=message):
        prepare_segments(archive, tmp_path / "audio", SETTINGS, LANGUAGES)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_archive(tmp_path: Path):
    with pytest.raises(InputError, match="correct data/archive"):
        prepare_segments(tmp_path / "acl.zip", tmp_path / "new" / "audio", SETTINGS, LANGUAGES)
    assert os.listdir(tmp_path) == []


SLICE = Path(
    os.environ.get(
        "SLIMSPEECH_ACL_SLICE",
        REPOSITORY.parent / "shared" / "data" / "acl6060-slice",
    )
)


@pytest.mark.skipif(not SLICE.is_dir(), reason="set SLIMSPEECH_ACL_SLICE to a part of ACL 60/60")
def test_real_speech(tmp_path: Path):
    """The first 11 gold segments of a talk of dev, which last 81.6 s."""
    settings = configured(DataSettings, max_seconds=6.0, long_segments="split")
    rows = prepare_segments(SLICE, tmp_path / "audio", settings, LANGUAGES)
    assert [row["id"] for row in rows] == [f"dev-{k}" for k in range(1, 12)]
    assert {row["talk"] for row in rows} == {"2022.acl-long.268"}
    assert sum(row["duration"] for row in rows) == pytest.approx(81.6, abs=0.05)
    assert rows[2]["texts"]["en"].startswith("But to begin with, what is lexical borrowing")
    for row in rows:
        audio = read_audio(row["audio"])
        parts = chunks(audio, settings.max_seconds)
        np.testing.assert_array_equal(np.concatenate(parts), audio)
        assert len(parts) == np.ceil(row["duration"] / 6.0)
    with pytest.raises(InputError, match=r"sent_1\.wav: 9\.160 s is over .* and 1 more"):
        prepare_segments(
            SLICE, tmp_path / "again", configured(DataSettings, max_seconds=6.0), LANGUAGES
        )
