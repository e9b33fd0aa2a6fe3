from pathlib import Path

import numpy as np
import pytest
import soundfile
from settings import configured

from slimspeech.data.must_c import is_wanted, read_segments
from slimspeech.data.raw_segments import BadSegments
from slimspeech.data.segments import DataSettings, prepare_segments
from slimspeech.errors import InputError

LANGUAGES = ["en", "cy"]
# In the notation of MuST-C's yaml: two talks, and a pause between two segments.
YAML = """- {duration: 0.5, offset: 0.25, rW: 3, uW: 0, speaker_id: spk.1, wav: ted_1.wav}
- {duration: 0.25, offset: 1.0, rW: 1, uW: 0, speaker_id: spk.1, wav: ted_1.wav}
- {duration: 1, offset: 0, rW: 1, uW: 0, speaker_id: spk.2, wav: ted_2.wav}
"""
SPLITS = ("train", "dev", "tst-COMMON")


def ramp(seconds: float, rate: int = 16_000) -> np.ndarray:
    return np.linspace(-0.5, 0.5, round(seconds * rate))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "en-cy"
    for split in SPLITS:
        txt, wav = folder / "data" / split / "txt", folder / "data" / split / "wav"
        txt.mkdir(parents=True)
        wav.mkdir()
        (txt / f"{split}.yaml").write_text(YAML)
        (txt / f"{split}.en").write_text("One.\nTwo.\nThree.\n")
        (txt / f"{split}.cy").write_text("Un.\nDau.\nTri.\n")
        for name in ("ted_1.wav", "ted_2.wav"):
            soundfile.write(wav / name, ramp(1.25), 16_000)
    return folder


def read(folder: Path, languages=LANGUAGES):
    return list(read_segments(folder, "my corpus", languages, BadSegments(drop=False)))


def test_segments_are_those_of_the_yaml(folder: Path):
    segments = read(folder)
    assert [segment.id for segment in segments[:4]] == ["dev-1", "dev-2", "dev-3", "train-1"]
    assert {segment.split for segment in segments} == set(SPLITS)
    second = segments[1]
    assert second.texts == {"en": "Two.", "cy": "Dau."}
    assert (second.start, second.seconds, second.talk) == (1.0, 0.25, "ted_1")
    assert second.clip == folder / "data" / "dev" / "wav" / "ted_1.wav"


@pytest.mark.parametrize("level", [".", "en-cy", "en-cy/data/.."])
def test_the_folder_may_be_of_any_level(folder: Path, level: str):
    assert len(read(folder.parent / level)) == 9


def test_clips_are_cut_to_the_sample(tmp_path: Path, folder: Path):
    rows = prepare_segments(folder, tmp_path / "audio", configured(DataSettings, 6.0), LANGUAGES)
    assert list(rows[0].items()) == [
        ("id", "dev-1"),
        ("talk", "ted_1"),
        ("split", "dev"),
        ("index", 1),
        ("audio", str(tmp_path / "audio" / "dev" / "sent_1.wav")),
        ("duration", 0.5),
        ("texts", {"en": "One.", "cy": "Un."}),
        ("corpus", "must-c"),
    ]
    talk, _ = soundfile.read(folder / "data" / "dev" / "wav" / "ted_1.wav", dtype="int16")
    clip, _ = soundfile.read(rows[0]["audio"], dtype="int16")
    assert np.abs(clip.astype(int) - talk[4_000:12_000]).max() <= 1


def test_other_rates_are_cut_in_the_same_place(tmp_path: Path, folder: Path):
    wav = folder / "data" / "dev" / "wav" / "ted_1.wav"
    soundfile.write(wav, ramp(1.25, 48_000), 48_000)
    rows = prepare_segments(folder, tmp_path / "audio", configured(DataSettings, 6.0), LANGUAGES)
    clip, rate = soundfile.read(rows[0]["audio"])
    assert (rate, len(clip)) == (16_000, 8_000)
    assert clip[100:-100] == pytest.approx(ramp(1.25)[4_100:11_900], abs=0.002)


def test_long_segments_can_be_left_out(tmp_path: Path, folder: Path, caplog):
    settings = configured(DataSettings, 0.9, long_segments="drop")
    rows = prepare_segments(folder, tmp_path / "audio", settings, LANGUAGES)
    assert len(rows) == 6 and {row["index"] for row in rows} == {1, 2}
    assert "3 segments over 0.9 s left out" in caplog.text
    with pytest.raises(InputError, match=r"dev/ted_2\.wav from 0 s|ted_2\.wav: 1\.000 s is over"):
        prepare_segments(folder, tmp_path / "audio", configured(DataSettings, 0.9), LANGUAGES)
    with pytest.raises(InputError, match="no segment is left"):
        prepare_segments(
            folder,
            tmp_path / "audio",
            configured(DataSettings, 0.2, long_segments="drop"),
            LANGUAGES,
        )


def test_one_folder_per_pair(folder: Path):
    folder.joinpath("..", "en-fr", "data", "dev", "txt").mkdir(parents=True)
    folder.joinpath("..", "en-fr", "data", "dev", "txt", "dev.yaml").write_text(YAML)
    assert len(read(folder.parent)) == 9
    with pytest.raises(InputError, match="make one experiment for each"):
        read(folder.parent, ["en", "cy", "fr"])
    with pytest.raises(InputError, match="not clear which one en-ga needs"):
        read(folder.parent, ["en", "ga"])


def entry(line: int, old: str, new: str):
    def spoil(txt: Path) -> None:
        lines = YAML.splitlines(keepends=True)
        lines[line - 1] = lines[line - 1].replace(old, new)
        (txt / "dev.yaml").write_text("".join(lines))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda txt: (txt / "dev.cy").unlink(), "no text in cy, only in en"),
        (lambda txt: (txt / "dev.cy").write_text("Un.\nDau.\n"), "2 lines in dev.cy but 3 segm"),
        (
            lambda txt: (txt / "dev.cy").write_text("Un.\n\nTri.\n"),
            "line 2 is empty in dev.cy",
        ),
        (lambda txt: (txt / "dev.yaml").write_text("- {duration: 1"), "dev.yaml: not valid YAML"),
        (lambda txt: (txt / "dev.yaml").write_text("- 2025-13-01"), "dev.yaml: not valid YAML"),
        (
            lambda txt: (txt / "dev.yaml").write_text("[" * 10**5),
            "dev.yaml: lists in more than 100",
        ),
        (
            lambda txt: (txt / "dev.yaml").write_text("- " * 10**5),
            "dev.yaml: lists in more than 100",
        ),
        (lambda txt: (txt / "dev.yaml").write_text("duration: 1"), "not a list of segments"),
        (lambda txt: (txt / "dev.yaml").write_text(""), "not a list of segments"),
        (entry(2, "offset", "start"), "entry 2 lacks one of duration, offset, wav"),
        (entry(2, "0.25", "0"), "entry 2 has duration 0, not a number of seconds above 0"),
        (entry(2, "1.0", "-1"), "entry 2 has offset -1, not"),
        (entry(2, "1.0", ".nan"), "entry 2 has offset nan, not"),
        (entry(2, "1.0", "one"), "entry 2 has offset 'one', not"),
        (entry(3, "ted_2", "../../ted_2"), "entry 3 names '../../ted_2.wav', which is not in wav/"),
        (entry(3, "ted_2.wav", "[]"), "entry 3 names"),
    ],
)
def test_the_problem_is_named(folder: Path, spoil, message: str):
    spoil(folder / "data" / "dev" / "txt")
    with pytest.raises(InputError, match="my corpus: ") as error:
        read(folder)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda txt: (txt / "dev.cy").write_text("Un.\n\nTri.\n"),
        entry(2, "offset", "start"),
        entry(2, "1.0", ".nan"),
        entry(2, "ted_1", "ted_7"),
        entry(2, "offset: 1.0", "offset: 1.3"),  # after the end of the talk
    ],
)
def test_one_odd_segment_can_be_left_out(tmp_path: Path, folder: Path, spoil, caplog):
    spoil(folder / "data" / "dev" / "txt")
    settings = configured(DataSettings, 6.0, bad_segments="drop")
    rows = prepare_segments(folder, tmp_path / "audio", settings, LANGUAGES)
    assert [row["id"] for row in rows][:3] == ["dev-1", "dev-3", "train-1"] and len(rows) == 8
    assert rows[1]["texts"] == {"en": "Three.", "cy": "Tri."}
    assert "1 segments that cannot be used are left out" in caplog.text


def test_no_code_is_run_from_yaml(folder: Path):
    path = folder / "data" / "dev" / "txt" / "dev.yaml"
    path.write_text("!!python/object/apply:os.system ['touch ran']\n")
    with pytest.raises(InputError, match="not valid YAML"):
        read(folder)


def test_a_segment_after_the_end_of_its_talk(tmp_path: Path, folder: Path):
    entry(2, "offset: 1.0", "offset: 1.3")(folder / "data" / "dev" / "txt")
    with pytest.raises(InputError, match=r"dev/ted_1\.wav from 1\.3 s: ends at 1\.550 s, but the"):
        prepare_segments(folder, tmp_path / "audio", configured(DataSettings, 6.0), LANGUAGES)


def test_a_last_segment_may_end_a_little_late(tmp_path: Path, folder: Path):
    entry(2, "duration: 0.25", "duration: 0.6")(folder / "data" / "dev" / "txt")
    rows = prepare_segments(folder, tmp_path / "audio", configured(DataSettings, 6.0), LANGUAGES)
    assert rows[1]["duration"] == 0.25


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        ("MUSTC/en-de/data/train/txt/train.yaml", True),
        ("en-de/data/tst-COMMON/txt/tst-COMMON.de", True),
        ("en-de/data/dev/wav/ted_1.wav", True),
        ("en-de/data/dev/h5/dev.h5", False),
    ],
)
def test_only_needed_members_are_wanted(member: str, wanted: bool):
    assert is_wanted(member) is wanted
