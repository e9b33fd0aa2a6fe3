"""The archive of the study: parts without a common voice or sentence."""

import zipfile
from collections import Counter

import pytest

from slimspeech_mini import corpora
from slimspeech_mini.corpora import STUDY_PARTS, write_study_archive
from slimspeech_mini.speech import voices

SMALL = (("dev", ("m1", "f1"), (2, 2)), ("dev", ("m3",), (2,)), ("eval", ("f4",), (2, 2)))


def test_the_evaluation_part_can_tell_percents_apart():
    """Chinese needs 2,800 to 3,090 segments for +-1.5 points; ten or more voices in each part."""
    segments = Counter()
    for split, _, sizes in STUDY_PARTS:
        segments[split] += sum(sizes)
    assert segments == {"dev": 802, "eval": 3000}


def test_no_speaker_is_in_two_parts():
    of_parts = [set(speakers) for _, speakers, _ in STUDY_PARTS]
    assert len(set().union(*of_parts)) == sum(map(len, of_parts))
    for _, speakers, sizes in STUDY_PARTS:
        assert len({voice.name for voice in voices(1, len(sizes), speakers)}) == len(sizes) >= 10


@pytest.fixture
def spoken(monkeypatch):
    """The talks and voices that the archive would be spoken from."""
    calls = []
    monkeypatch.setattr(corpora, "_write_talks", lambda *arguments: calls.append(arguments))
    return calls


def test_every_sentence_is_new(spoken, monkeypatch, tmp_path):
    monkeypatch.setattr(corpora, "BASE_SENTENCES", 300)
    write_study_archive(tmp_path / "a.zip", 1, 1, 0, SMALL)
    [(_, _, talks, speakers)] = spoken
    sources = [sentence.source for talk in talks for sentence in talk.sentences]
    assert len(set(sources)) == len(sources)
    known = [s.source for _, s in zip(range(300), corpora.reading_sentences(1, 0), strict=False)]
    assert not set(known) & set(sources)
    assert [talk.name[-3:] for talk in talks] == ["101", "102", "103", "201", "202"]
    names = [voice.name.split("+")[1] for voice in speakers]
    assert {*names[:2]} == {"m1", "f1"} and names[2:] == ["m3", "f4", "f4"]
    assert speakers[3] != speakers[4]


def test_a_sentence_that_the_base_knows_is_drawn_again(spoken, monkeypatch, tmp_path):
    monkeypatch.setattr(corpora, "BASE_SENTENCES", 0)
    write_study_archive(tmp_path / "a.zip", 1, 1, 0, SMALL)
    known = spoken[0][2][0].sentences[3]
    monkeypatch.setattr(corpora, "BASE_SENTENCES", 1)
    monkeypatch.setattr(corpora, "reading_sentences", lambda *seeds: iter([known]))
    write_study_archive(tmp_path / "a.zip", 1, 1, 0, SMALL)
    sources = [s.source for talk in spoken[1][2] for s in talk.sentences]
    assert known.source not in sources


def test_it_is_spoken_in_the_official_layout(monkeypatch, tmp_path):
    monkeypatch.setattr(corpora, "BASE_SENTENCES", 10)
    write_study_archive(tmp_path / "a.zip", 1, 1, 0, SMALL)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        clips = [n for n in archive.namelist() if "segmented_wavs" in n]
        order = archive.read("2/acl_6060/eval/FILE_ORDER").decode().split()
    assert Counter("eval" if "/eval/" in name else "dev" for name in clips) == {"dev": 6, "eval": 4}
    assert order == ["mini.talk.201", "mini.talk.202"]
