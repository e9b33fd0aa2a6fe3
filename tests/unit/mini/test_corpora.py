"""The mini corpora keep the layouts of the real ones, and keep apart from each other."""

import csv
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile

from slimspeech.artifacts import read_jsonl
from slimspeech_mini import corpora
from slimspeech_mini.corpora import (
    ARCHIVE_SIZES,
    archive_sentences,
    write_archive,
    write_base_corpus,
    write_covost,
)

SIZES = {"dev": (3, 2), "eval": (2, 2)}


@pytest.fixture(scope="module")
def archive_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "acl6060.zip"
    write_archive(path, 0, SIZES)
    return path


@pytest.fixture(scope="module")
def archive(archive_path):
    with zipfile.ZipFile(archive_path) as archive:
        yield archive


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "corpus"
    write_base_corpus(folder, seed=1, size=40, archive_seed=0, held_out=5)
    return folder


def lines(archive, name):
    return archive.read(f"2/acl_6060/{name}").decode().removesuffix("\n").split("\n")


def samples(archive, name):
    audio, rate = soundfile.read(io.BytesIO(archive.read(f"2/acl_6060/{name}")), dtype="int16")
    assert rate == 16000 and audio.ndim == 1
    return audio


def test_full_size_is_that_of_the_real_archive():
    assert sum(ARCHIVE_SIZES["dev"]) == 468
    assert sum(ARCHIVE_SIZES["eval"]) == 416


def test_archive_has_the_official_files(archive):
    dev = [f"2/acl_6060/dev/segmented_wavs/gold/sent_{number}.wav" for number in range(1, 6)]
    dev += [f"2/acl_6060/dev/full_wavs/mini.talk.{number}.wav" for number in (101, 102)]
    for code in ("en", "de", "zh"):
        dev.append(f"2/acl_6060/dev/text/txt/ACL.6060.dev.en-xx.{code}.txt")
        dev.append(f"2/acl_6060/dev/text/xml/ACL.6060.dev.en-xx.{code}.xml")
    dev.append("2/acl_6060/dev/FILE_ORDER")
    assert sorted(n for n in archive.namelist() if "/dev/" in n) == sorted(dev)
    assert lines(archive, "dev/FILE_ORDER") == ["mini.talk.101", "mini.talk.102"]
    assert lines(archive, "eval/FILE_ORDER") == ["mini.talk.201", "mini.talk.202"]
    assert "synthetic" in archive.read("2/README").decode().lower()


@pytest.mark.parametrize("split", ["dev", "eval"])
def test_texts_are_parallel_and_no_sentence_occurs_twice(archive, split):
    texts = {
        code: lines(archive, f"{split}/text/txt/ACL.6060.{split}.en-xx.{code}.txt")
        for code in ("en", "de", "zh")
    }
    assert {len(text) for text in texts.values()} == {sum(SIZES[split])}
    assert len(set(texts["en"])) == sum(SIZES[split])
    pairs = {s.source: s.targets for s in archive_sentences(0, SIZES)}
    for source, german, chinese in zip(*texts.values(), strict=True):
        assert pairs[source] == {"de": german, "zh": chinese}


@pytest.mark.parametrize(("code", "kind"), [("en", "srcset"), ("de", "refset"), ("zh", "refset")])
def test_xml_numbers_the_segments_of_the_txt_through_the_split(archive, code, kind):
    stem = f"ACL.6060.dev.en-xx.{code}"
    tree = ElementTree.fromstring(archive.read(f"2/acl_6060/dev/text/xml/{stem}.xml"))
    documents = tree.findall(f"{kind}/doc")
    assert [document.get("docid") for document in documents] == ["mini.talk.101", "mini.talk.102"]
    assert [document.findtext("talkid") for document in documents] == [
        "mini.talk.101",
        "mini.talk.102",
    ]
    ids = [[seg.get("id") for seg in document.findall("seg")] for document in documents]
    assert ids == [["1", "2", "3"], ["4", "5"]]
    assert [seg.text for seg in tree.iter("seg")] == lines(archive, f"dev/text/txt/{stem}.txt")


def test_every_segment_is_a_slice_of_its_talk_after_a_silence(archive):
    number = 0
    for talk, size in (("mini.talk.101", 3), ("mini.talk.102", 2)):
        full = samples(archive, f"dev/full_wavs/{talk}.wav")
        end = 0
        for _ in range(size):
            number += 1
            segment = samples(archive, f"dev/segmented_wavs/gold/sent_{number}.wav")
            assert 0.5 * 16000 <= len(segment) <= 5.8 * 16000
            start = full.tobytes().index(segment.tobytes(), 2 * end) // 2
            assert 0.3 * 16000 <= start - end <= 1.0 * 16000
            assert not full[end:start].any()
            assert np.array_equal(full[start : start + len(segment)], segment)
            end = start + len(segment)


def test_archive_is_the_same_bytes_under_another_hash_seed(archive_path, tmp_path):
    code = (
        "import sys; sys.path[:] = eval(sys.argv[1])\n"
        "from slimspeech_mini.corpora import write_archive\n"
        f"write_archive(sys.argv[2], 0, {SIZES})"
    )
    again = tmp_path / "again.zip"
    run = [sys.executable, "-c", code, repr(sys.path), str(again)]
    subprocess.run(run, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert digest(again) == digest(archive_path)
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]
    write_archive(again, 1, SIZES)
    assert digest(again) != digest(archive_path)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_sentences_too_long_or_too_short_are_drawn_again(tmp_path, monkeypatch):
    def speak(text, voice):
        return np.ones(16000 * (len(text) % 8), np.int16)

    monkeypatch.setattr(corpora, "speak", speak)
    write_archive(tmp_path / "a.zip", 0, {"dev": (12,)})
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        sources = lines(archive, "dev/text/txt/ACL.6060.dev.en-xx.en.txt")
    assert len(sources) == 12
    assert all(1 <= len(sentence) % 8 <= 5 for sentence in sources)


def test_a_talk_starts_and_ends_as_drawn(archive):
    sources = lines(archive, "dev/text/txt/ACL.6060.dev.en-xx.en.txt")
    first, second = corpora.archive_talks(0, SIZES)[:2]
    assert (sources[0], sources[2]) == (first.sentences[0].source, first.sentences[-1].source)
    assert (sources[3], sources[4]) == (second.sentences[0].source, second.sentences[-1].source)


def test_a_talk_without_enough_fitting_sentences_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "speak", lambda text, voice: np.ones(160000, np.int16))
    with pytest.raises(ValueError, match="mini.talk.101"):
        write_archive(tmp_path / "a.zip", 0, {"dev": (2,)})
    assert not (tmp_path / "a.zip").exists()


def test_covost_has_the_official_columns_and_readable_clips(tmp_path):
    write_covost(tmp_path / "covost2", 0, size=6)
    write_covost(tmp_path / "again", 0, size=6, threads=2)
    tables = {}
    for code in ("de", "zh-CN"):
        name = f"covost_v2.en_{code}.train.tsv"
        text = (tmp_path / "covost2" / name).read_text(encoding="utf-8")
        assert text == (tmp_path / "again" / name).read_text(encoding="utf-8")
        tables[code] = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
        assert list(tables[code][0]) == ["path", "sentence", "translation", "client_id"]
        assert len(tables[code]) == 6
    for german, chinese in zip(tables["de"], tables["zh-CN"], strict=True):
        clip = tmp_path / "covost2" / "en" / "clips" / german["path"]
        audio, rate = soundfile.read(clip)
        assert rate == 48000 and audio.ndim == 1 and 0.5 <= len(audio) / rate <= 6
        assert clip.read_bytes() == (tmp_path / "again/en/clips" / german["path"]).read_bytes()
        assert german["path"] == chinese["path"] and german["sentence"] == chinese["sentence"]
        assert german["translation"] != chinese["translation"]
    assert len({row["client_id"] for row in tables["de"]}) > 1


def test_base_manifest_has_two_rows_an_utterance(base):
    rows = read_jsonl(base / "manifest.jsonl")
    assert [row["id"] for row in rows[:4]] == [
        *("base-000000.de", "base-000000.zh", "base-000001.de", "base-000001.zh"),
    ]
    assert list(rows[0]) == [
        *("id", "talk", "audio", "duration", "source", "target", "pair", "origin", "corpus"),
    ]
    assert len(rows) == 70
    for row in rows:
        info = soundfile.info(row["audio"])
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert abs(info.duration - row["duration"]) < 1e-3 and 0.5 <= row["duration"] <= 5.8
        assert row["pair"] == f"en-{row['id'].split('.')[1]}"


def test_base_holds_out_its_last_utterances(base):
    held_out = read_jsonl(base / "validation.jsonl")
    assert [row["id"].split(".")[0] for row in held_out[::2]] == [
        f"base-{number:06d}" for number in range(35, 40)
    ]
    trained_on = {row["source"] for row in read_jsonl(base / "manifest.jsonl")}
    assert not trained_on & {row["source"] for row in held_out}


def test_base_shares_no_sentence_with_the_archive(tmp_path, monkeypatch):
    # The stream begins with sentences of the archive.
    theirs = archive_sentences(0)[:30]
    drawn = corpora._base_sentences(1)
    own = [next(drawn) for _ in range(20)]
    monkeypatch.setattr(corpora, "_base_sentences", lambda seed: iter(theirs + own))
    write_base_corpus(tmp_path / "corpus", seed=1, size=10, archive_seed=0, held_out=2)
    rows = read_jsonl(tmp_path / "corpus" / "manifest.jsonl")
    rows += read_jsonl(tmp_path / "corpus" / "validation.jsonl")
    assert {row["source"] for row in rows} <= {sentence.source for sentence in own}


def test_archive_sentences_include_those_of_the_archive(archive):
    possible = {sentence.source for sentence in archive_sentences(0, SIZES)}
    sources = lines(archive, "dev/text/txt/ACL.6060.dev.en-xx.en.txt")
    sources += lines(archive, "eval/text/txt/ACL.6060.eval.en-xx.en.txt")
    assert set(sources) <= possible
    assert len(set(sources)) == 9
    assert [s.source for s in archive_sentences(0, SIZES)] != [
        s.source for s in archive_sentences(1, SIZES)
    ]
