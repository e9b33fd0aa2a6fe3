import logging
from pathlib import Path

import pytest

from slimspeech.data.acl6060 import is_wanted, read_segments
from slimspeech.data.raw_segments import BadSegments
from slimspeech.errors import InputError

LANGUAGES = ["en", "de", "zh"]


def read(corpus, languages=LANGUAGES):
    return list(read_segments(corpus.root, "acl.zip", languages, BadSegments(drop=False)))


def test_rows_are_in_the_order_of_the_archive(corpus):
    segments = read(corpus)
    assert [segment.id for segment in segments] == [
        *("dev-1", "dev-2", "dev-3", "dev-4"),
        *("eval-1", "eval-2", "eval-3", "eval-4"),
    ]
    assert segments[5].texts == {
        "en": "This is um a model.",
        "de": "Das ist ein Modell.",
        "zh": "这是一个模型。",
    }
    assert segments[5].clip == corpus.clip("eval", 2)


def test_clips_are_in_the_order_of_their_numbers(corpus):
    corpus.splits = {"dev": {"en": [f"Sentence {k}." for k in range(1, 13)]}}
    segments = read(corpus.write(), ["en"])
    assert [s.texts["en"] for s in segments if s.split == "dev"][9] == "Sentence 10."
    assert [s.clip.name for s in segments if s.split == "dev"][1] == "sent_2.wav"


def test_talks_come_from_xml_that_is_not_well_formed(corpus):
    assert [segment.talk for segment in read(corpus)] == [
        *("dev.talk.1", "dev.talk.1", "dev.talk.2", "dev.talk.2"),
        *("eval.talk.1", "eval.talk.1", "eval.talk.2", "eval.talk.2"),
    ]


def test_entities_of_the_xml_are_not_expanded(corpus):
    path = corpus.xml("dev", "en")
    secret = '<!DOCTYPE x [<!ENTITY talk SYSTEM "file:///etc/passwd">]>'
    path.write_text(secret + path.read_text().replace("dev.talk.1", "&talk;"))
    assert read(corpus)[0].talk == "&talk;"


def test_without_xml_a_split_is_one_talk(corpus, caplog):
    for language in LANGUAGES:
        corpus.xml("eval", language).unlink()
    with caplog.at_level(logging.WARNING):
        talks = [segment.talk for segment in read(corpus)]
    assert talks[4:] == ["eval"] * 4
    assert "one talk" in caplog.text


@pytest.mark.parametrize("depth", ["2/acl_6060", "2", "."])
def test_the_folder_may_be_of_any_level(corpus, depth: str):
    folder = corpus.root / depth
    (folder / ".DS_Store").write_bytes(b"litter")
    (folder / "__MACOSX" / "dev" / "text").mkdir(parents=True)
    assert len(list(read_segments(folder, "acl", LANGUAGES, BadSegments(drop=False)))) == 8


def test_dev_and_the_languages_of_the_pairs_are_enough(corpus):
    corpus.split("eval").rename(corpus.root / "gone")
    for path in corpus.root.rglob("*.zh.*"):
        path.unlink()
    segments = read(corpus, ["en", "de"])
    assert len(segments) == 4 and list(segments[0].texts) == ["en", "de"]


def test_bom_and_crlf_are_removed(corpus):
    path = corpus.text("dev", "de")
    lines = path.read_text(encoding="utf-8").replace("\n", "\r\n").rstrip()
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert [segment.texts["de"] for segment in read(corpus)][:4] == [
        *("Hallo.", "Das ist ein Modell.", "Es ist klein.", "Danke."),
    ]


def test_line_ends_of_the_old_mac_os(corpus):
    corpus.text("dev", "de").write_bytes(b"Hallo.\rDas.\rEs.\rDanke.\r")
    texts = [segment.texts["de"] for segment in read(corpus)][:4]
    assert texts == ["Hallo.", "Das.", "Es.", "Danke."]


def test_rare_line_separators_do_not_shift_the_lines(corpus):
    path = corpus.text("dev", "de")
    path.write_text("Hal\u2028lo.\nDas\tist.\nEs.\nDanke.\n", encoding="utf-8")
    assert read(corpus)[0].texts["de"] == "Hal\u2028lo."
    assert read(corpus)[1].texts["de"] == "Das\tist."


DEV_DE = "ACL.6060.dev.en-xx.de.txt"


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("Hallo.\nDas.\nDanke.\n", [f"3 lines in {DEV_DE}", "4 in ACL.6060.dev.en-xx.en.txt"]),
        ("Hallo.\n\nEs.\nDanke.\n", [DEV_DE, "line 2 is empty"]),
        ("Hallo.\n \t\nEs.\nDanke.\n", [DEV_DE, "line 2 is empty"]),
        ("Hallo.\nDas.\nEs\x0b.\nDanke.\n", [DEV_DE, "line 3", "U+000B"]),
        ("Hallo.\nDas.\nEs\x00.\nDanke.\n", [DEV_DE, "line 3", "U+0000"]),
        ("Hallo.\nDas.\rEs.\nEs.\nDanke.\n", [DEV_DE, "line 2", "U+000D"]),
        ("", [DEV_DE, "the file is empty"]),
        ("Hallo.\nFür.\nEs.\nDanke.\n".encode("latin-1"), [DEV_DE, "line 2", "UTF-8"]),
        ("Hallo.\nDas.\nEs.\nDanke.\n".encode("utf-16"), [DEV_DE, "UTF-8"]),
    ],
)
def test_bad_texts_are_named(corpus, content: str | bytes, messages: list[str]):
    content = content if isinstance(content, bytes) else content.encode()
    corpus.text("dev", "de").write_bytes(content)
    with pytest.raises(InputError) as error:
        read(corpus)
    assert all(message in str(error.value) for message in ["acl.zip", *messages])


def test_many_problems_are_in_one_message(corpus):
    corpus.text("dev", "de").write_text("\n" * 4)
    with pytest.raises(InputError, match=f"line 1 is empty .*; line 4 is empty in {DEV_DE}"):
        read(corpus)


def test_a_missing_clip_is_named(corpus):
    corpus.clip("eval", 3).unlink()
    with pytest.raises(InputError, match=r"eval: 4 lines .* but 3 clips, .* without one is 3;"):
        read(corpus)


def test_an_extra_clip_is_named(corpus):
    corpus.clip("eval", 5).write_bytes(corpus.clip("eval", 4).read_bytes())
    with pytest.raises(InputError, match="4 lines .* but 5 clips, the first without a line is 5"):
        read(corpus)


def test_a_segment_missing_in_the_xml_is_named(corpus):
    path = corpus.xml("dev", "en")
    path.write_text(path.read_text().replace('<seg id="2">', "<seg>"))
    with pytest.raises(InputError, match="4 lines .* but 3 xml segments, .* without one is 2"):
        read(corpus)


def test_no_clips_at_all(corpus):
    for path in (corpus.split("dev") / "segmented_wavs" / "gold").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="4 lines .* but 0 clips"):
        read(corpus)


def test_a_missing_language_lists_the_others(corpus):
    with pytest.raises(InputError, match="no text in fr, only in de, en, zh"):
        read(corpus, ["en", "fr"])


def test_another_layout_is_refused(tmp_path: Path):
    (tmp_path / "train" / "wav").mkdir(parents=True)
    with pytest.raises(InputError, match=r"acl\.zip: no dev/ or eval/"):
        list(read_segments(tmp_path, "acl.zip", LANGUAGES, BadSegments(drop=False)))


def test_two_corpora_in_one_folder_are_refused(corpus):
    (corpus.root / "copy" / "dev" / "text").mkdir(parents=True)
    with pytest.raises(InputError, match="more than once"):
        read(corpus)


@pytest.mark.parametrize(
    ("member", "wanted"),
    [
        ("2/acl_6060/dev/segmented_wavs/gold/sent_1.wav", True),
        ("acl_6060/eval/text/txt/ACL.6060.eval.en-xx.de.txt", True),
        ("dev/text/xml/ACL.6060.dev.en-xx.de.xml", True),
        ("2/acl_6060/dev/full_wavs/2022.acl-long.268.wav", False),
        ("2/acl_6060/dev/segmented_wavs/shas/1.wav", False),
        ("2/acl_6060/dev/text/tagged_terminology/ACL.6060.dev.tagged.en-xx.de.txt", False),
    ],
)
def test_only_needed_members_are_wanted(member: str, wanted: bool):
    assert is_wanted(member) is wanted
