import os

import pytest

from slimspeech.artifacts import (
    read_csv,
    read_json,
    read_jsonl,
    read_text,
    write_csv,
    write_directory,
    write_json,
    write_jsonl,
    write_text,
)
from slimspeech.errors import InputError

# Characters at which some readers break lines though JSON does not escape them.
ROWS = [{"id": "a", "target": "Grüße 你好\u2028\x85 \n"}, {"id": "b", "target": ""}]


def test_rows_survive_their_file(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    assert read_jsonl(tmp_path / "rows.jsonl") == ROWS
    text = (tmp_path / "rows.jsonl").read_text(encoding="utf-8")
    assert text.startswith('{"id": "a", "target": "Grüße 你好')
    assert text.count("\n") == 2 and text.endswith("\n")


def test_no_rows(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [])
    assert read_jsonl(tmp_path / "rows.jsonl") == []


def test_json_survives_its_file(tmp_path):
    value = {"kept": [0, 2], "score": 41.25, "name": "Übersetzung"}
    write_json(tmp_path / "new" / "layers.json", value)
    assert read_json(tmp_path / "new" / "layers.json") == value


def test_csv_survives_its_file_as_text(tmp_path):
    rows = [{"layer": 1, "text": 'a, "b"\nc'}, {"layer": 2, "text": "你好"}]
    write_csv(tmp_path / "scores.csv", rows)
    assert read_csv(tmp_path / "scores.csv") == [
        {"layer": "1", "text": 'a, "b"\nc'},
        {"layer": "2", "text": "你好"},
    ]


def test_csv_with_other_columns_further_down_is_not_written(tmp_path):
    with pytest.raises(ValueError):
        write_csv(tmp_path / "scores.csv", [{"a": 1}, {"b": 2}])
    assert list(tmp_path.iterdir()) == []


def test_broken_lines_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "a"}\n{"id": "b\n')
    with pytest.raises(InputError, match=r"rows\.jsonl, line 2: not valid JSON"):
        read_jsonl(path)


def test_broken_json_is_named(tmp_path):
    path = tmp_path / "layers.json"
    path.write_text("")
    with pytest.raises(InputError, match=r"layers\.json: not valid JSON"):
        read_json(path)


@pytest.mark.parametrize("text", ["Grüße\n你好", "", "a\r\nb"])
def test_a_text_is_the_same_with_and_without_a_byte_order_mark(tmp_path, text):
    for start in ("", "\ufeff"):
        (tmp_path / "a.txt").write_bytes((start + text).encode())
        assert read_text(tmp_path / "a.txt") == text


def test_json_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nb\nGr\xfc\xdfe\n", r"a\.txt, line 3: not UTF-8; save"),
        ("\ufeffGrüße".encode("utf-16"), r"a\.txt, line 1: not UTF-8; save"),
        (None, r"a\.txt: cannot be read \(No such file"),
    ],
)
def test_texts_that_cannot_be_read_are_named(tmp_path, content, message):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "a.txt")


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(InputError, match="cannot be read .*directory"):
        read_text(tmp_path)


def test_file_stays_whole_when_writing_fails(tmp_path, monkeypatch):
    write_text(tmp_path / "file.txt", "old")

    def killed(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "file.txt", "new")
    assert (tmp_path / "file.txt").read_text() == "old"


def test_row_that_cannot_be_written_leaves_the_file(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(TypeError):
        write_jsonl(tmp_path / "rows.jsonl", [ROWS[0], {"id": object()}])
    assert read_jsonl(tmp_path / "rows.jsonl") == ROWS


def test_an_earlier_directory_survives_a_failure(tmp_path):
    write_directory(tmp_path / "model", lambda path: (path / "old").touch())

    def fail(path):
        (path / "new").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_directory(tmp_path / "model", fail)
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "old"]


def test_an_earlier_directory_and_a_killed_attempt_are_replaced(tmp_path):
    write_directory(tmp_path / "model", lambda path: (path / "old").touch())
    (tmp_path / ".model.partial").mkdir()
    (tmp_path / ".model.partial" / "half").touch()
    write_directory(tmp_path / "model", lambda path: (path / "new").touch())
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]


def test_a_table_without_rows_has_its_columns(tmp_path):
    write_csv(tmp_path / "none.csv", [], ["pair", "score"])
    assert (tmp_path / "none.csv").read_text(encoding="utf-8") == "pair,score\n"
