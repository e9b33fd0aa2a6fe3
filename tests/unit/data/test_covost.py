import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile

from slimspeech.data.covost import sample_covost
from slimspeech.errors import InputError

HEAD = "path\tsentence\ttranslation\tclient_id"


def write(folder: Path, lines: list[str], code: str = "de", head: str = HEAD) -> Path:
    table = folder / f"covost_v2.en_{code}.train.tsv"
    table.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "en" / "clips").mkdir(parents=True)
    for k in range(6):
        soundfile.write(tmp_path / "en" / "clips" / f"c{k}.mp3", np.zeros(48_000), 48_000)
    write(tmp_path, [f"c{k}.mp3\tSentence {k}\tSatz {k}\tspeaker{k % 2}" for k in range(6)])
    return tmp_path


def draw(folder: Path, size: int, pair: str = "en-de", seed: int = 0, max_seconds: float = 6.0):
    return sample_covost(folder, pair, size, seed, min_seconds=0.1, max_seconds=max_seconds)


def test_rows_name_the_original_clips(folder: Path):
    rows = sorted(draw(folder, 6), key=lambda row: row["id"])
    assert list(rows[1].items()) == [
        ("id", "covost2-c1"),
        ("talk", "speaker1"),
        ("audio", str(folder / "en" / "clips" / "c1.mp3")),
        ("duration", pytest.approx(1.0, abs=0.05)),
        ("source", "Sentence 1"),
        ("target", "Satz 1"),
        ("pair", "en-de"),
        ("origin", "out_of_domain"),
        ("corpus", "covost2"),
    ]


def test_the_seed_decides_the_draw(folder: Path):
    draws = {tuple(row["id"] for row in draw(folder, 3, seed=seed)) for seed in range(6)}
    assert len(draws) > 1
    assert draw(folder, 3, seed=4) == draw(folder, 3, seed=4)


def test_chinese_has_another_code_in_the_corpus(folder: Path):
    write(folder, ["c0.mp3\tHello\t你好\ts"], code="zh-CN")
    (row,) = draw(folder, 1, pair="en-zh")
    assert (row["target"], row["pair"]) == ("你好", "en-zh")


def test_chinese_as_the_source_has_that_code_too(folder: Path):
    (folder / "en").rename(folder / "zh-CN")
    table = folder / "covost_v2.zh-CN_en.train.tsv"
    table.write_text(f"{HEAD}\nc0.mp3\t你好\tHello\ts\n", encoding="utf-8")
    (row,) = draw(folder, 1, pair="zh-en")
    assert row["audio"] == str(folder / "zh-CN" / "clips" / "c0.mp3")
    assert (row["source"], row["pair"]) == ("你好", "zh-en")


def test_quotes_are_text_and_backslashes_escape(folder: Path):
    write(folder, ['c0.mp3\t"So, he said.\t\\"Nun\\", sagte er.\ts', "c1.mp3\tB\tB\ts"])
    rows = {row["id"]: row for row in draw(folder, 2)}
    assert rows["covost2-c0"]["source"] == '"So, he said.'
    assert rows["covost2-c0"]["target"] == '"Nun", sagte er.'


def test_unusable_rows_are_left_out_and_counted(folder: Path, caplog):
    clips = folder / "en" / "clips"
    clips.joinpath("c1.mp3").unlink()
    clips.joinpath("c2.mp3").write_bytes(b"")
    soundfile.write(clips / "c3.mp3", np.zeros(7 * 48_000), 48_000)
    lines = [f"c{k}.mp3\tS\tT\ts" for k in range(5)]
    write(folder, [*lines, "c0.mp3\tS\tT\ts", "c5.mp3\tS\t \ts"])
    with caplog.at_level(logging.INFO):
        rows = draw(folder, 2)
        with pytest.raises(InputError) as error:
            draw(folder, 3)
    assert {row["id"] for row in rows} == {"covost2-c0", "covost2-c4"}
    message = str(error.value)
    assert "train.tsv: 2 usable rows of 7" in message and "3 are required" in message
    for reason in (
        *("1 without their clip", "1 unreadable", "1 outside 0.1 to 6.0 s"),
        *("1 of a clip of an earlier row", "1 with an empty text"),
    ):
        assert reason in message and reason in caplog.text


def test_only_as_many_clips_are_opened_as_needed(folder: Path, monkeypatch):
    opened = []
    monkeypatch.setattr("slimspeech.data.covost.duration", lambda path: opened.append(path) or 1.0)
    draw(folder, 2)
    assert len(opened) == 2


@pytest.mark.parametrize(
    ("head", "line", "message"),
    [
        ("path\tsentence\tclient_id", "c0.mp3\tS\ts", "no column translation"),
        (HEAD, "../../c0.mp3\tS\tT\ts", "1 whose path is not the name of a file"),
        (HEAD, "/etc/passwd\tS\tT\ts", "1 whose path is not the name of a file"),
        (HEAD, "..\tS\tT\ts", "1 without their clip"),
        (HEAD, "c0.mp3\tOne \\\tEins\ts", "1 with a field missing"),  # not s for a translation
        (HEAD, "c0.mp3\tS\tT", "1 with a field missing"),
        (HEAD, "c" * 300 + "\tS\tT\ts", "1 without their clip"),
        (HEAD, "c0.mp3\tS\tT\ts\tmore", "1 with a field missing or too many"),
        (HEAD, "c0.mp3\tS\rS\tT\ts", "1 with a field missing or too many"),
        (HEAD, f"c0.mp3\t{'S' * 200_000}\tT\ts", "1 with a field missing or too many"),
        (HEAD, "c0.mp3\tS\0\tT\ts", "1 with a control character"),
        (HEAD, "c0.mp3\tS\t\u200b\ufeff\ts", "1 with an empty text"),
        (HEAD, "version https://git-lfs.github.com/spec/v1", "1 with a field missing"),
        ("version https://git-lfs.github.com/spec/v1", "oid sha256:12", "git lfs pull"),
    ],
)
def test_bad_tables_are_named(folder: Path, head: str, line: str, message: str):
    table = write(folder, [line], head=head)
    with pytest.raises(InputError, match=message) as error:
        draw(folder, 1)
    assert str(table) in str(error.value)


def test_other_encodings_are_named(folder: Path):
    table = write(folder, [])
    table.write_bytes(HEAD.encode() + "\nc0.mp3\tFor\tFür\ts\n".encode("latin-1"))
    with pytest.raises(InputError, match="not .* UTF-8"):
        draw(folder, 1)


def test_a_missing_table(folder: Path):
    with pytest.raises(InputError, match=r"covost_v2\.en_fr\.train\.tsv: no such table"):
        draw(folder, 1, pair="en-fr")
