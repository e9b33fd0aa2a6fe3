import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from settings import configured

from slimspeech.data.raw_segments import BadSegments
from slimspeech.data.segments import DataSettings, prepare_segments
from slimspeech.data.table import read_segments
from slimspeech.errors import InputError

LANGUAGES = ["cy", "en"]
HEAD = "audio\tstart\tend\tsource\ttarget"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    for name in ("a.flac", "b.flac"):
        soundfile.write(tmp_path / "clips" / name, np.full(48_000, 0.1), 24_000)
    return tmp_path


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    table = folder / "tales.tsv"
    table.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return table


def read(table: Path, languages=LANGUAGES):
    return list(read_segments(table, languages, BadSegments(drop=False)))


def test_a_row_is_a_part_of_a_file_or_all_of_it(folder: Path):
    table = write(
        folder,
        "clips/a.flac\t0.5\t1.25\tHelo.\tHello.",
        'clips/b.flac\t\t\t"Ie" meddai.\t"Yes," she said.',
    )
    first, second = read(table)
    assert (first.id, first.split, first.talk, first.corpus) == (
        *("all-1", "all", "clips/a", "tales"),
    )
    assert (first.start, first.seconds, first.clip) == (0.5, 0.75, folder / "clips" / "a.flac")
    assert first.texts == {"cy": "Helo.", "en": "Hello."}
    assert second.is_whole and second.texts["en"] == '"Yes," she said.'
    rows = prepare_segments(table, folder / "audio", configured(DataSettings, 6.0), LANGUAGES)
    assert [row["duration"] for row in rows] == [0.75, 2.0]
    assert [row["audio"] for row in rows] == [
        str(folder / "audio" / "all" / f"sent_{k}.wav") for k in (1, 2)
    ]
    assert soundfile.info(rows[0]["audio"]).samplerate == 16_000


def test_columns_in_any_order_and_optional_ones(folder: Path):
    table = write(
        folder,
        "Hi.\ttrain\tHelo.\tclips/a.flac\tNia\tx",
        "No.\ttest\tNa.\tclips/b.flac\tNia\tx",
        "Go.\ttrain\tDos.\tclips/b.flac\t\tx",
        head="target\tsplit\tsource\taudio\ttalk\tremark",
    )
    segments = read(table)
    assert [segment.id for segment in segments] == ["train-1", "test-1", "train-2"]
    assert [segment.talk for segment in segments] == ["Nia", "Nia", "clips/b"]


def test_several_pairs_have_one_column_per_language(folder: Path):
    table = write(folder, "clips/a.flac\tHelo.\tHallo.\tHello.", head="audio\tcy\tde\ten")
    (segment,) = read(table, ["cy", "en", "de"])
    assert segment.texts == {"cy": "Helo.", "en": "Hello.", "de": "Hallo."}
    with pytest.raises(InputError, match="no column fr; .* columns audio, cy, de, en"):
        read(table, ["cy", "fr"])
    table = write(folder, "clips/a.flac\tHelo.\tHello.", head="audio\tsource\ttarget")
    with pytest.raises(InputError, match="no column en, de;"):
        read(table, ["cy", "en", "de"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("clips/a.flac\t0\t1\tHelo.", "line 2 has 4 columns instead of 5; put one tab"),
        ("clips/c.flac\t0\t1\tHelo.\tHi.", "line 2 names 'clips/c.flac', which does not exist"),
        ("\t0\t1\tHelo.\tHi.", "line 2 names no audio"),
        ("a" * 300 + "\t0\t1\tHelo.\tHi.", "which does not exist"),
        ("clips\t0\t1\tHelo.\tHi.", "line 2 names 'clips', which does not exist"),
        ("clips/a.flac\t0\t1\tHelo.\t ", "line 2 is empty in target"),
        ("clips/a.flac\t0\t1\tHelo.\t\u200b\u2060", "line 2 is empty in target"),
        ("clips/a.flac\t0\t1\tHe\x00lo.\tHi.", "line 2 has the control character U+0000 in source"),
        ("clips/a.flac\t0:01\t1\tHelo.\tHi.", "line 2 has start '0:01' and end '1', not seconds"),
        ("clips/a.flac\t0\tnan\tHelo.\tHi.", "line 2 has start '0' and end 'nan', not seconds"),
        ("clips/a.flac\t1\t1\tHelo.\tHi.", "line 2 ends at 1.0 s, not after its start at 1.0 s"),
        ("clips/a.flac\t-1\t1\tHelo.\tHi.", "line 2 ends at 1.0 s, not after its start at -1.0 s"),
    ],
)
def test_the_problem_is_named(folder: Path, line: str, message: str):
    table = write(folder, line, "clips/a.flac\t0\t1\tHelo.\tHi.")
    with pytest.raises(InputError) as error:
        read(table)
    assert str(error.value).startswith(str(table)) and message in str(error.value)


def test_odd_lines_can_be_left_out(folder: Path, caplog):
    good = "clips/a.flac\t0\t1\tHelo.\tHi."
    odd = ["clips/a.flac\t0\t1\tHelo.", "clips/c.flac\t0\t1\tHelo.\tHi.", "\tx\ty\tz\t\tmore"]
    late = "clips/a.flac\t1\t9\tHelo.\tHi."
    settings = configured(DataSettings, 6.0, bad_segments="drop")
    table = write(folder, odd[0], good, odd[1], odd[2], late, good)
    rows = prepare_segments(table, folder / "audio", settings, LANGUAGES)
    assert [(row["id"], row["duration"]) for row in rows] == [("all-1", 1.0), ("all-4", 1.0)]
    assert "4 segments that cannot be used are left out" in caplog.text
    for words in ("line 2 has 4 columns", "line 5 has 6 columns", "line 4 names 'clips/c.flac'"):
        assert words in caplog.text


def test_quotes_of_a_spreadsheet_are_told_and_kept(folder: Path, caplog):
    line = "clips/a.flac\t0\t1\t{}\t{}"
    sound = ['"Ie" meddai "Nia".', '"Ie!"', '""', "Hi."]
    read(write(folder, *(line.format(text, text) for text in sound)))
    assert caplog.text == ""
    table = write(folder, line.format("Na.", "No."), line.format('"""Ie"" meddai."', "Yes."))
    assert read(table)[1].texts["cy"] == '"""Ie"" meddai."'
    assert "1 lines have a text in quotes" in caplog.text and "line 3" in caplog.text


cells = st.text(st.characters(codec="utf-8", exclude_characters="\t\r\n"), max_size=4)


def shows(text: str) -> bool:
    """Whether a text has more than spaces and what formats it."""
    return bool("".join(c for c in text if unicodedata.category(c) != "Cf").strip())


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
def test_every_line_is_read_as_it_is_or_counted(pairs):
    with tempfile.TemporaryDirectory() as name:
        Path(name, "a.wav").touch()
        lines = [f"a.wav\t{source}\t{target}" for source, target in pairs]
        table = write(Path(name), *lines, head="audio\tsource\ttarget")
        bad = BadSegments(drop=True)
        texts = [tuple(part.texts.values()) for part in read_segments(table, LANGUAGES, bad)]
    stripped = [(source.strip(), target.strip()) for source, target in pairs]
    sound = [
        pair
        for pair in stripped
        if all(map(shows, pair)) and "Cc" not in map(unicodedata.category, "".join(pair))
    ]
    assert texts == sound
    assert len(bad.dropped) == len(pairs) - len(sound)


@pytest.mark.parametrize("split", ["../x", "..", "a\\b", "dev\0", "ä" * 200])
def test_a_split_is_the_name_of_a_folder(folder: Path, split: str):
    table = write(folder, f"clips/a.flac\tA\tB\t{split}", head="audio\tsource\ttarget\tsplit")
    with pytest.raises(InputError, match=r"line 2 has the split .*not a folder name"):
        read(table)


def test_a_part_after_the_end_of_its_file(folder: Path):
    table = write(folder, "clips/a.flac\t1\t3\tHelo.\tHi.")
    with pytest.raises(InputError, match=r"a\.flac from 1 s: ends at 3\.000 s, but the file at 2"):
        prepare_segments(table, folder / "audio", configured(DataSettings, 6.0), LANGUAGES)
    assert not (folder / "audio").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no segment below the names"),
        (HEAD.encode() + b"\n", "no segment below the names of the columns"),
        (b"audio\tsource\ttarget\ttarget\nx\ty\tz\tz\n", "two columns are called target"),
        (b"path\tsource\ttarget\nx\ty\tz\n", "no column audio"),
        (HEAD.encode() + "\nclips/a.flac\t\t\tFür\tFor\n".encode("latin-1"), "not a .* UTF-8"),
    ],
)
def test_no_table(folder: Path, content: bytes, message: str):
    table = folder / "tales.tsv"
    table.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(table)


def test_tables_of_other_programs(folder: Path):
    table = folder / "tales.tsv"
    lines = [HEAD, "clips/a.flac\t\t\tHelo.\tHello.", "\t\t\t\t", ""]
    table.write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert [segment.texts["en"] for segment in read(table)] == ["Hello."]
