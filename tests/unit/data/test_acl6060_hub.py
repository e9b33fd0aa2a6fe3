import io
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import soundfile
from settings import configured

from slimspeech.data.acl6060_hub import _talks
from slimspeech.data.segments import DataSettings, prepare_segments
from slimspeech.errors import InputError

TARGETS = ("ar", "de", "fa", "fr", "ja", "nl", "pt", "ru", "tr", "zh")
LANGUAGES = ["en", *TARGETS]
SETTINGS = configured(DataSettings, 6.0)


def clip(seconds: float) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(seconds * 16_000), 0.1), 16_000, format="WAV")
    return file.getvalue()


def rows(split: str, indices: list[int]) -> list[dict]:
    return [
        {
            "index": index,
            "audio": {"bytes": clip(0.2 + index / 100), "path": f"sent_{index + 1}.wav"},
            **{f"text_{code}": f"{split} {code} {index}" for code in LANGUAGES},
        }
        for index in indices
    ]


def write(folder: Path, split: str, shards: list[list[dict]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # An Audio() column of `datasets` in a file.
    audio = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    texts = [(f"text_{code}", pyarrow.string()) for code in LANGUAGES]
    schema = pyarrow.schema([("index", pyarrow.int64()), ("audio", audio), *texts])
    for number, part in enumerate(shards):
        path = folder / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part, schema), path)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Two shards of dev, whose rows are not in order, and one of eval."""
    folder = tmp_path / "copy"
    write(folder / "data", "dev", [rows("dev", [1, 0]), rows("dev", [2])])
    write(folder / "data", "eval", [rows("eval", [0, 1])])
    return folder


def test_segments_are_those_of_the_archive(tmp_path: Path, copy: Path):
    segments = prepare_segments(copy, tmp_path / "audio", SETTINGS, LANGUAGES)
    assert [row["id"] for row in segments] == ["dev-1", "dev-2", "dev-3", "eval-1", "eval-2"]
    second = segments[1]
    assert second["texts"] == {code: f"dev {code} 1" for code in LANGUAGES}
    assert (second["index"], second["duration"], second["corpus"]) == (2, 0.21, "acl6060")
    assert second["audio"] == str(tmp_path / "audio" / "dev" / "sent_2.wav")
    assert Path(second["audio"]).read_bytes() == clip(0.21)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "copy"]


def test_talks_are_those_of_the_official_splits():
    talks = _talks("dev", 468, "copy")
    assert (talks[0], talks[106], talks[107], talks[467]) == (
        *("2022.acl-long.268", "2022.acl-long.268", "2022.acl-long.367", "2022.acl-long.117"),
    )
    assert len(_talks("eval", 416, "copy")) == 416
    assert set(_talks("eval", 415, "copy")) == {"eval"}


def spoiled(**changes):
    return lambda copy: write(copy / "data", "eval", [[rows("eval", [0])[0] | changes]])


def without_column(copy: Path) -> None:
    path = copy / "data" / "eval-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(path).drop_columns("text_de")
    pyarrow.parquet.write_table(table, path)


def cut(copy: Path) -> None:
    path = copy / "data" / "eval-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoiled(text_de=" "), "eval: index 0 is empty in text_de"),
        (spoiled(text_de=None), "eval: index 0 is empty in text_de"),
        (spoiled(index=None), "eval: a row has the index None"),
        (spoiled(index=4), "eval: 1 rows, but their indices are not 0 to 0"),
        (spoiled(audio=None), "eval: index 0 has no audio"),
        (spoiled(audio={"bytes": None, "path": "sent_1.wav"}), "eval: index 0 has no audio"),
        (spoiled(audio={"bytes": b"no wav", "path": None}), "not audio that soundfile can read"),
        (
            lambda copy: write(copy / "data", "eval", [rows("eval", [0, 0])]),
            "index 0 is in two rows",
        ),
        (without_column, "eval-00000-of-00001.parquet: no column text_de, only index, audio"),
        (cut, "eval-00000-of-00001.parquet: damaged"),
    ],
)
def test_the_problem_is_named_and_no_file_is_left(tmp_path: Path, copy: Path, spoil, message):
    spoil(copy)
    with pytest.raises(InputError) as error:
        prepare_segments(copy, tmp_path / "audio", SETTINGS, ["en", "de"])
    assert message in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_rows_that_cannot_be_used_can_be_left_out(tmp_path: Path, copy: Path, caplog):
    first, second, third = rows("eval", [0, 1, 2])
    write(copy / "data", "eval", [[first | {"text_de": " "}, second | {"audio": None}, third]])
    settings = configured(DataSettings, 6.0, bad_segments="drop")
    segments = prepare_segments(copy, tmp_path / "audio", settings, ["en", "de"])
    assert [row["id"] for row in segments] == ["dev-1", "dev-2", "dev-3", "eval-3"]
    assert "2 segments that cannot be used are left out" in caplog.text


def test_columns_of_other_types_are_refused(tmp_path: Path, copy: Path):
    """Audio as bytes alone, and an index as text."""
    path = copy / "data" / "eval-00000-of-00001.parquet"
    table = pyarrow.parquet.read_table(path)
    audio = pyarrow.array([clip(0.2)] * len(table))
    index = pyarrow.array(["0"] * len(table))
    for name, column, message in (("audio", audio, "has no audio"), ("index", index, "index '0'")):
        place = table.schema.get_field_index(name)
        pyarrow.parquet.write_table(table.set_column(place, name, column), path)
        with pytest.raises(InputError, match=message):
            prepare_segments(copy, tmp_path / "audio", SETTINGS, ["en", "de"])
