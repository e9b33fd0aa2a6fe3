import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.resegmentation import (
    declaration,
    plain_lines,
    read_talks,
    resegment,
    write_lines,
)

SEGMENTS = [
    {"id": "1", "talk": "a", "target": "Guten Morgen, liebe Welt."},
    {"id": "2", "talk": "a", "target": "Wir danken der Jury."},
    {"id": "3", "talk": "b", "target": "Nun zum zweiten Teil."},
]


def rows(*texts):
    return [{"id": str(i), "hypothesis": text} for i, text in enumerate(texts, start=1)]


def test_a_line_a_segment_whatever_it_says(tmp_path):
    lines = plain_lines(rows("Guten\nMorgen\u2028Welt.", "", "Nun  gut."), SEGMENTS)
    write_lines(lines, tmp_path / "all.txt", tmp_path / "talks")
    assert (tmp_path / "all.txt").read_text(encoding="utf-8") == "Guten Morgen Welt.\n\nNun gut.\n"
    assert (tmp_path / "talks" / "a.txt").read_text(encoding="utf-8") == "Guten Morgen Welt.\n\n"
    assert read_talks(tmp_path / "talks", SEGMENTS) == {"a": "Guten Morgen Welt.", "b": "Nun gut."}


def test_the_cuts_are_found_again():
    texts = {"a": "Guten Morgen Welt. Wir danken einer Jury.", "b": "Nun zum Teil."}
    assert resegment(texts, SEGMENTS, "de") == rows(
        "Guten Morgen Welt.", "Wir danken einer Jury.", "Nun zum Teil."
    )


def test_chinese_is_cut_between_characters():
    segments = [
        {"id": "1", "talk": "a", "target": "我们感谢大家。"},
        {"id": "2", "talk": "a", "target": "BERT model 变小了。"},
    ]
    found = resegment({"a": "我们感谢你。BERT model 小了。"}, segments, "zh")
    assert [row["hypothesis"] for row in found] == ["我们感谢你。", "BERT model 小了。"]


def test_no_word_is_lost_or_made_up():
    text = "etwas ganz anderes ### als man \t erwartet " * 5
    segments = [*SEGMENTS, {"id": "4", "talk": "a", "target": "A ### B"}]
    found = resegment({"a": text, "b": ""}, segments, "de")
    in_order = [row["hypothesis"] for row in found if row["id"] != "3"]
    assert " ".join(in_order).split() == text.split()
    assert found[2] == {"id": "3", "hypothesis": ""}


@pytest.mark.parametrize("reference, text", [("", "ab c"), ("ab", ""), ("", "")])
def test_nothing_to_align_with(reference, text):
    segments = [{"id": str(i), "talk": "a", "target": reference} for i in (1, 2)]
    assert resegment({"a": text}, segments, "de") == rows(text, "")


@pytest.mark.parametrize(
    "content, message",
    [(None, "b.txt: not there"), (b"", "b.txt: the file is empty"), (b"\xff", "b.txt: not UTF-8")],
)
def test_talks_that_cannot_be_read(tmp_path, content, message):
    (tmp_path / "a.txt").write_text("Guten Morgen.")
    if content is not None:
        (tmp_path / "b.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_talks(tmp_path, SEGMENTS)


def test_a_talk_with_a_slash_stays_in_its_folder(tmp_path):
    write_lines({"../a": ["one"], "100%": ["two"]}, tmp_path / "all.txt", tmp_path / "talks")
    names = sorted(path.name for path in (tmp_path / "talks").iterdir())
    assert names == ["..%2Fa.txt", "100%25.txt"]
    assert (tmp_path / "all.txt").read_text() == "one\ntwo\n"


def test_what_is_declared():
    size = {"weights": 6, "bytes": 3, "quantization": "nf4", "decoder_layers": 24, "other": 0}
    lines = plain_lines(rows("x", "y", "z"), SEGMENTS)
    found = declaration("en-de", "B", lines, size, {"layers_removed": 8})
    assert found == {
        "pair": "en-de",
        "system": "B",
        "weights": 6,
        "bytes": 3,
        "quantization": "nf4",
        "decoder_layers": 24,
        "recipe": {"layers_removed": 8},
        "talks": {"a": 2, "b": 1},
    }
