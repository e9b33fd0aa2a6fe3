"""Test sets of the track: the organisers' order, and what is wrong with a folder."""

from pathlib import Path

import pytest
import soundfile
from conftest import tone

from slimspeech.data.raw_segments import WHOLE_SET
from slimspeech.data.test_sets import prepare_test_set, read_segments, reference_rows
from slimspeech.errors import InputError

# As the organisers' script orders it: b, a, sub/c.wav.
ORDER = "b.wav\n\na\nsub/c.wav\n"
LIST = """- {duration: 0.5, offset: 0.25, wav: a.wav, speaker_id: spk.1}
- {duration: 0.25, offset: 0, wav: b.wav}
- {duration: 0.25, offset: 0, wav: a.wav}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "TVSERIES"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        soundfile.write(folder / name, tone(1), 16_000)
    (folder / "FILE_ORDER").write_text(ORDER)
    (folder / "list.yaml").write_text(LIST)
    return folder


def test_whole_wavs_come_in_the_order_of_file_order(folder):
    segments = read_segments(folder, "TVSERIES")
    assert [segment.clip.name for segment in segments] == ["b.wav", "a.wav", "c.wav"]
    assert [segment.talk for segment in segments] == ["b", "a", "sub/c"]
    assert all(segment.is_whole for segment in segments)


def test_listed_segments_keep_their_order_within_a_wav(folder):
    segments = read_segments(folder, "TVSERIES", folder / "list.yaml")
    assert [(s.talk, s.start, s.seconds) for s in segments] == [
        ("b", 0.0, 0.25),
        ("a", 0.25, 0.5),
        ("a", 0.0, 0.25),
    ]


def test_a_listed_wav_that_file_order_lacks_comes_last(folder):
    (folder / "FILE_ORDER").write_text("a.wav\n")
    segments = read_segments(folder, "TVSERIES", folder / "list.yaml")
    assert [segment.talk for segment in segments] == ["a", "a", "b"]


def test_wavs_of_one_name_come_in_turn(folder):
    (folder / "sub" / "c.wav").rename(folder / "sub" / "a.wav")
    (folder / "FILE_ORDER").write_text("a.wav\nb.wav\na.wav\n")
    talks = [segment.talk for segment in read_segments(folder, "TVSERIES")]
    assert talks == ["a", "b", "sub/a"]


def test_one_wav_needs_no_file_order(folder):
    (folder / "list.yaml").write_text(LIST.replace("b.wav", "a.wav"))
    (folder / "FILE_ORDER").unlink()
    assert len(read_segments(folder, "TVSERIES", folder / "list.yaml")) == 3


def test_clips_are_cut_and_none_is_left_out(folder, tmp_path):
    soundfile.write(folder / "a.wav", tone(1, 48_000), 48_000)
    rows = prepare_test_set(folder, "TVSERIES", folder / "list.yaml", tmp_path / "audio")
    assert [row["duration"] for row in rows] == [0.25, 0.5, 0.25]
    assert [row["id"] for row in rows] == ["TVSERIES-1", "TVSERIES-2", "TVSERIES-3"]
    frames = [soundfile.info(row["audio"]).frames for row in rows]
    assert frames == [4_000, 8_000, 4_000]


def without(name):
    return lambda folder: (folder / name).unlink()


def written(name, text):
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("FILE_ORDER"), "no file FILE_ORDER, which gives the order of the 3 wavs"),
        (without("a.wav"), "FILE_ORDER: line 3 names 'a', which is not in the folder"),
        (written("FILE_ORDER", "a.wav\nb.wav\nb.wav\n"), "line 3 names 'b.wav', which is listed"),
        (written("FILE_ORDER", "a.wav\nb.wav\n"), "1 wavs are not listed, the first is sub/c.wav"),
    ],
)
def test_problems_of_the_folder(folder, spoil, message):
    spoil(folder)
    with pytest.raises(InputError) as error:
        read_segments(folder, "TVSERIES")
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {duration: 1, offset: 0}", "entry 1 lacks one of duration, offset, wav"),
        ("- {duration: 1, offset: 0, wav: d.wav}", "entry 1 names 'd.wav', which is not in"),
        ("wav: a.wav", "not a list of segments"),
    ],
)
def test_problems_of_the_list(folder, text, message):
    (folder / "list.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        read_segments(folder, "TVSERIES", folder / "list.yaml")
    assert message in str(error.value)


def test_a_folder_without_wavs(tmp_path):
    with pytest.raises(InputError, match="no wavs in this folder"):
        read_segments(tmp_path, "TVSERIES")


SEGMENTS = [{"talk": "b"}, {"talk": "b"}, {"talk": "a"}]
XML = """<mteval><doc docid="1"><seg id="1"> Eins &amp; zwei. </seg></doc>
<doc docid="2"><seg id="2">Drei.</seg></doc></mteval>"""


def references(tmp_path, target, source=None, suffix=".txt"):
    paths = [None, None]
    for place, text in enumerate((target, source)):
        if text:
            paths[place] = tmp_path / f"{place}{suffix}"
            paths[place].write_text(text)
    return reference_rows(SEGMENTS, "en-de", *paths)


def test_references_of_as_many_lines_as_segments_are_of_their_talks(tmp_path):
    rows = references(tmp_path, "Eins.\nZwei.\nDrei.\n", "One.\nTwo.\nThree.\n")
    assert [row["talk"] for row in rows] == ["b", "b", "a"]
    assert rows[2] == {
        "id": "3",
        "talk": "a",
        "pair": "en-de",
        "target": "Drei.",
        "source": "Three.",
    }


def test_other_references_are_of_the_whole_set(tmp_path):
    rows = references(tmp_path, "Eins.\nZwei.\n")
    assert [row["talk"] for row in rows] == [WHOLE_SET] * 2
    assert "source" not in rows[0]


def test_documents_of_xml_are_the_talks_in_order(tmp_path):
    rows = references(tmp_path, XML, suffix=".xml")
    assert [(row["talk"], row["target"]) for row in rows] == [
        ("b", "Eins & zwei."),
        ("a", "Drei."),
    ]


def test_an_empty_segment_of_xml_takes_no_other(tmp_path):
    xml = XML.replace("<doc docid", '<seg id="0"/><doc docid', 1)
    rows = references(tmp_path, xml, suffix=".XML")
    assert [row["target"] for row in rows] == ["", "Eins & zwei.", "Drei."]


@pytest.mark.parametrize("suffix", [".sgm", ".SGML"])
def test_references_in_sgml_may_have_large_tags(tmp_path, suffix):
    sgml = '<REFSET><DOC docid="1">\n<SEG id="1"> Eins. </SEG>\n<seg id="2">Zwei.</seg></DOC>'
    assert [row["target"] for row in references(tmp_path, sgml, suffix=suffix)] == [
        "Eins.",
        "Zwei.",
    ]


@pytest.mark.parametrize("cut", ["</seg>", "Drei.</seg>"])
def test_a_segment_of_xml_without_its_end_is_told(tmp_path, cut):
    xml = XML[: XML.rindex(cut)]
    with pytest.raises(InputError, match=r"2 <seg> begin and 1 end"):
        references(tmp_path, xml, suffix=".xml")


@pytest.mark.parametrize("suffix", [".txt", ".xml"])
def test_references_in_another_encoding_are_refused(tmp_path, suffix):
    path = tmp_path / f"references{suffix}"
    path.write_bytes(XML.replace("Drei", "Fünf").encode("latin-1"))
    with pytest.raises(InputError, match="line 2: not UTF-8"):
        reference_rows(SEGMENTS, "en-de", path, None)


def test_byte_order_marks_are_no_part_of_a_text(folder, tmp_path):
    rows = references(tmp_path, "\ufeffEins.\nZwei.\n")
    assert rows[0]["target"] == "Eins."
    (folder / "FILE_ORDER").write_text("\ufeff" + ORDER, encoding="utf-8")
    assert read_segments(folder, "TVSERIES")[0].talk == "b"


def test_texts_must_be_parallel(tmp_path):
    with pytest.raises(InputError, match=r"1\.txt: 1 lines, but .*0\.txt has 2"):
        references(tmp_path, "Eins.\nZwei.\n", "One.\n")
