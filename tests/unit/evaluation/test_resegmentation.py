import pytest

from slimspeech.errors import InputError
from slimspeech.evaluation.resegmentation import read_talks, resegment

SEGMENTS = [
    {"id": "1", "talk": "a", "target": "Guten Morgen, liebe Welt."},
    {"id": "2", "talk": "a", "target": "Wir danken der Jury."},
    {"id": "3", "talk": "b", "target": "Nun zum zweiten Teil."},
]


def rows(*texts):
    return [{"id": str(i), "hypothesis": text} for i, text in enumerate(texts, start=1)]


def test_talks_are_cut_at_the_references():
    texts = {"a": "Guten Morgen Welt. Wir danken einer Jury.", "b": "Nun zum Teil."}
    assert resegment(texts, SEGMENTS, "de") == rows(
        "Guten Morgen Welt.", "Wir danken einer Jury.", "Nun zum Teil."
    )


def test_chinese_is_cut_between_characters():
    segments = [
        {"id": "1", "talk": "a", "target": "我们感谢大家。"},
        {"id": "2", "talk": "a", "target": "BERT model 变小了。"},
    ]
    rows = resegment({"a": "我们感谢你。BERT model 小了。"}, segments, "zh")
    assert [row["hypothesis"] for row in rows] == ["我们感谢你。", "BERT model 小了。"]


def test_every_word_stays_once():
    text = "etwas ganz anderes ### als man \t erwartet " * 5
    segments = [*SEGMENTS, {"id": "4", "talk": "a", "target": "A ### B"}]
    rows = resegment({"a": text, "b": ""}, segments, "de")
    in_order = [row["hypothesis"] for row in rows if row["id"] != "3"]
    assert " ".join(in_order).split() == text.split()
    assert rows[2] == {"id": "3", "hypothesis": ""}


@pytest.mark.parametrize("reference, text", [("", "ab c"), ("ab", ""), ("", "")])
def test_nothing_to_align_with(reference, text):
    segments = [{"id": str(i), "talk": "a", "target": reference} for i in (1, 2)]
    assert resegment({"a": text}, segments, "de") == rows(text, "")


@pytest.mark.parametrize(
    "content, message",
    [
        (None, "b.txt: does not exist"),
        (b"", "b.txt: the file is empty"),
        (b"\xff", "b.txt, line 1: not UTF-8"),
    ],
)
def test_talks_that_cannot_be_read(tmp_path, content, message):
    (tmp_path / "a.txt").write_text("Guten Morgen.")
    if content is not None:
        (tmp_path / "b.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_talks(tmp_path, SEGMENTS)


def test_byte_order_marks_are_no_part_of_a_talk(tmp_path):
    """Two files with one each, joined, and with the line ends of Windows."""
    (tmp_path / "a.txt").write_bytes(2 * "\ufeffGuten Tag.\r\n".encode())
    (tmp_path / "b.txt").write_text("Danke.")
    assert read_talks(tmp_path, SEGMENTS) == {"a": "Guten Tag. Guten Tag.", "b": "Danke."}
