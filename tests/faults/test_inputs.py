"""Hostile and broken corpora: each gives a clear error or a correct result, within limits.

Every case runs the data stage in a process of its own, with a limit on memory and on time, and
nothing but its output folder may be different afterwards.
"""

import io
import itertools
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fault_child import DONE, REFUSED, run_alone
from fault_record import counted
from settings import configured

from slimspeech.data.segments import DataSettings, prepare_segments

Spoil = Callable[[Path], Path]
TEXT = "2/acl_6060/dev/text/txt/ACL.6060.dev.en-xx.de.txt"
XML = "2/acl_6060/dev/text/xml/ACL.6060.dev.en-xx.de.xml"
CLIP = "2/acl_6060/dev/segmented_wavs/gold/sent_1.wav"


# A corpus in the layout of ACL 60/60 lies in `folder`/corpus; a case returns it spoiled.


def with_clip(data: Callable[[bytes], bytes]) -> Spoil:
    def spoil(folder: Path) -> Path:
        clip = folder / "corpus" / CLIP
        clip.write_bytes(data(clip.read_bytes()))
        return folder / "corpus"

    return spoil


def with_file(name: str, data: bytes) -> Spoil:
    def spoil(folder: Path) -> Path:
        (folder / "corpus" / name).write_bytes(data)
        return folder / "corpus"

    return spoil


def fuzzed_header(seed: int) -> Spoil:
    """Bytes of the wav header set to others, one to eight of them."""
    generator = random.Random(seed)

    def data(clip: bytes) -> bytes:
        changed = bytearray(clip)
        for _ in range(generator.randint(1, 8)):
            changed[generator.randrange(44)] = generator.choice([0, 1, 127, 128, 255, 64])
        return bytes(changed)

    return with_clip(data)


def field(offset: int, form: str, value: int) -> Spoil:
    def data(clip: bytes) -> bytes:
        changed = bytearray(clip)
        struct.pack_into(form, changed, offset, value)
        return bytes(changed)

    return with_clip(data)


def sound(samples: np.ndarray, rate: int, subtype: str, form: str = "WAV") -> Spoil:
    def data(_: bytes) -> bytes:
        file = io.BytesIO()
        soundfile.write(file, samples, rate, subtype=subtype, format=form)
        return file.getvalue()

    return with_clip(data)


def instead_of(name: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(folder: Path) -> Path:
        path = folder / "corpus" / name
        path.unlink()
        make(path)
        return folder / "corpus"

    return spoil


def packed(kind: str, add: Callable[[object], None] | None = None, keep: float = 1.0) -> Spoil:
    """The corpus as an archive, with what `add` puts into it, cut after a share of its bytes."""

    def spoil(folder: Path) -> Path:
        path = folder / f"acl.{kind}"
        files = sorted(p for p in (folder / "corpus").rglob("*") if p.is_file())
        if kind == "zip":
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for file in files:
                    archive.write(file, file.relative_to(folder / "corpus"))
                if add:
                    add(archive)
        else:
            with tarfile.open(path, f"w:{kind.partition('.')[2]}") as archive:
                for file in files:
                    archive.add(file, file.relative_to(folder / "corpus"))
                if add:
                    add(archive)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * keep)])
        return path

    return spoil


def zip_member(name: str, data: bytes = b"x\n", mode: int = 0o100644) -> Callable:
    def add(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        archive.writestr(entry, data)

    return add


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> Callable:
    def add(archive: tarfile.TarFile) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, link
        entry.size = 2 if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(b"x\n"))

    return add


def bomb(archive: zipfile.ZipFile) -> None:
    """200 MB in 200 kB, as a text that is wanted."""
    with archive.open(TEXT.replace(".de.", ".fr."), "w") as file:
        for _ in range(200):
            file.write(bytes(2**20))


def lying_size(folder: Path) -> Path:
    path = packed("zip")(folder)
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, start + 24, 2**31)
    path.write_bytes(data)
    return path


def must_c(text: str) -> Spoil:
    def spoil(folder: Path) -> Path:
        root = folder / "must" / "en-de"
        for split in ("train", "dev"):
            txt, wav = root / "data" / split / "txt", root / "data" / split / "wav"
            txt.mkdir(parents=True)
            wav.mkdir()
            (txt / f"{split}.yaml").write_text(text)
            (txt / f"{split}.en").write_text("One.\n")
            (txt / f"{split}.de").write_text("Eins.\n")
            soundfile.write(wav / "talk.wav", np.full(16_000, 0.1), 16_000)
        return root

    return spoil


def table(data: bytes) -> Spoil:
    def spoil(folder: Path) -> Path:
        soundfile.write(folder / "a.wav", np.full(16_000, 0.1), 16_000)
        path = folder / "table.tsv"
        path.write_bytes(data)
        return path

    return spoil


LINES = "Hallo.\nDas ist ein Modell.\nEs ist klein.\nDanke.\n"
UP = "../" * 8 + "etc/passwd"
HEAD = b"audio\tstart\tend\tsource\ttarget\n"
WAVE = 0.1 * np.ones(4000)
ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
TEXTS = {
    "utf-16": LINES.encode("utf-16"),
    "utf-16 without a mark": LINES.encode("utf-16-le"),
    "latin-1": LINES.replace("o", "\xf6").encode("latin-1"),
    "a mark of byte order": b"\xef\xbb\xbf" + LINES.encode(),
    "crlf": LINES.replace("\n", "\r\n").encode(),
    "cr": LINES.replace("\n", "\r").encode(),
    "control characters": LINES.replace("l", "\x07\x1b[31m").encode(),
    "nul": LINES.replace("l", "\0").encode(),
    "line separator": LINES.replace("ist", "\u2028").encode(),
    "vertical tab": LINES.replace("ist", "\x0b\x0c\x1c\x85").encode(),
    "text that turns round": LINES.replace("ist", "\u202e\u2066").encode(),
    "a surrogate": b"\xed\xa0\x80\n" * 4,
    "overlong utf-8": b"\xc0\xaf\n" * 4,
    "random bytes": random.Random(0).randbytes(4000),
    "empty": b"",
    "blank lines": b"\n\n\n\n",
    "a line less": LINES.partition("\n")[2].encode(),
    "a line more": LINES.encode() + b"Mehr.\n",
    "no end of line": LINES.rstrip().encode(),
    "a line of a million characters": b"a" * 10**6 + b"\nb\nc\nd\n",
    "a million lines": b"a\n" * 10**6,
    "combining marks": ("a" + "\u0301" * 10**5 + "\nb\nc\nd\n").encode(),
    "markup": b"<script>alert(1)</script>\n$(reboot)\n{{ 7*7 }}\n'; DROP TABLE x\n",
    "not a character": "\ufffe\uffff\nb\nc\nd\n".encode(),
}
XMLS = {
    "entity bomb": f'<!DOCTYPE x [<!ENTITY a0 "lol">{ENTITIES}]><mteval>&a11;</mteval>'.encode(),
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><mteval>&e;</mteval>',
    "external dtd": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><mteval/>',
    "cut short": b'<mteval><doc docid="a"><seg id="1">',
    "empty": b"",
    "random bytes": random.Random(1).randbytes(4000),
    "deep": b"<a>" * 10**5,
    "a million attributes": b"<doc " + b'a="1" ' * 10**6 + b"></doc>",
    "numbers that are none": b'<doc docid="a"><talkid>a</talkid><seg id="x">a</seg></doc>',
    "a talk that climbs": f'<doc docid="{UP}"><talkid>{UP}</talkid></doc>'.encode(),
    "a number too large": b'<doc docid="a"><seg id="99999999999999999999">a</seg></doc>',
}
ENTRY = "- {duration: %s, offset: %s, speaker_id: s, wav: %s}\n"
YAMLS = {
    "python object": "- !!python/object/apply:os.system ['touch /tmp/owned']\n",
    "python name": "- {duration: !!python/name:os.system , offset: 0, wav: talk.wav}\n",
    "billion laughs": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{name}: &{name} [{','.join(['*' + last] * 9)}]\n"
        for last, name in itertools.pairwise("abcdefghi")
    ),
    "climbs": ENTRY % (0.5, 0, UP),
    "absolute": ENTRY % (0.5, 0, "/etc/passwd"),
    "not a number": ENTRY % (".nan", 0, "talk.wav"),
    "infinite": ENTRY % (".inf", 0, "talk.wav"),
    "negative length": ENTRY % (-1, 0, "talk.wav"),
    "negative start": ENTRY % (0.5, -3, "talk.wav"),
    "huge": ENTRY % ("1e308", "1e308", "talk.wav"),
    "true": ENTRY % ("true", "false", "talk.wav"),
    "text for numbers": ENTRY % ("'0x10'", "abc", "talk.wav"),
    "missing keys": "- {wav: talk.wav}\n",
    "a mapping": "duration: 1\n",
    "a scalar": "42\n",
    "empty": "",
    "cut short": "- {duration: 0.5, offset",
    "a list of lists": "[" * 2000 + "]" * 2000,
    "control characters": "- {duration: 0.5, offset: 0, wav: \x07}\n",
    "a folder": ENTRY % (0.5, 0, "."),
    "nul in the name": '- {duration: 0.5, offset: 0, wav: "a\\0b"}\n',
    "beyond the end": ENTRY % (0.5, 100, "talk.wav"),
}
ROW = b"a.wav\t0\t0.5\tHello.\tHallo.\n"
TABLES = {
    "no columns": b"\n",
    "empty": b"",
    "head alone": HEAD,
    "unknown columns": b"a\tb\n1\t2\n",
    "twice a column": HEAD.replace(b"start", b"audio") + ROW,
    "too few cells": HEAD + b"a.wav\t0\n",
    "too many cells": HEAD + ROW.rstrip() + b"\tmore\tmore\n",
    "not a number": HEAD + ROW.replace(b"0.5", b"nan"),
    "infinite": HEAD + ROW.replace(b"0.5", b"inf"),
    "huge": HEAD + ROW.replace(b"0.5", b"1e308"),
    "ends before it starts": HEAD + ROW.replace(b"\t0\t", b"\t3\t"),
    "negative": HEAD + ROW.replace(b"\t0\t", b"\t-1\t"),
    "climbs": HEAD + ROW.replace(b"a.wav", UP.encode()),
    "absolute": HEAD + ROW.replace(b"a.wav", b"/etc/passwd"),
    "a device": HEAD + ROW.replace(b"a.wav", b"/dev/zero"),
    "a folder": HEAD + ROW.replace(b"a.wav", b"."),
    "nul": HEAD + ROW.replace(b"a.wav", b"a\0.wav"),
    "utf-16": (HEAD + ROW).decode().encode("utf-16"),
    "latin-1": HEAD + ROW.replace(b"Hallo", b"H\xe4llo"),
    "a mark of byte order": b"\xef\xbb\xbf" + HEAD + ROW,
    "crlf": (HEAD + ROW).replace(b"\n", b"\r\n"),
    "an open quote": HEAD + ROW.replace(b"Hallo", b'"Hallo'),
    "a cell of a million characters": HEAD + ROW.replace(b"Hallo", b"a" * 10**6),
    "random bytes": random.Random(2).randbytes(4000),
    "a url": HEAD + ROW.replace(b"a.wav", b"http://127.0.0.1:9/a.wav"),
    "a formula": HEAD + ROW.replace(b"Hallo.", b"=cmd|' /C calc'!A0"),
}
ZIPS = {
    "climbs": zip_member(UP),
    "climbs by text": zip_member(f"{TEXT}/../../../../../../../../owned.txt"),
    "absolute": zip_member("/tmp/owned.txt"),
    "windows path": zip_member("..\\..\\owned.txt"),
    "drive": zip_member("C:\\owned.txt"),
    "symlink": zip_member(TEXT + ".txt", b"/etc/passwd", 0o120777),
    "device": zip_member("null.txt", b"", 0o020666),
    "twice": zip_member(TEXT),
    "long name": zip_member("a" * 10**4 + ".txt"),
    "long wanted name": zip_member(TEXT.replace("de.txt", "a" * 300 + ".txt")),
    "newline in the name": zip_member("a\nb.txt"),
    "control characters": zip_member("\x1b[31m.txt"),
    "file below a file": zip_member(TEXT + "/x.txt"),
    "nested archive": zip_member("inner.zip", b"PK\x05\x06" + bytes(18)),
    "bomb": bomb,
}
TARS = {
    "climbs": tar_member(UP),
    "absolute": tar_member("/tmp/owned.txt"),
    "symlink": tar_member("link.txt", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": tar_member("link.txt", tarfile.LNKTYPE, "/etc/passwd"),
    "device": tar_member("null", tarfile.CHRTYPE),
    "pipe": tar_member("pipe", tarfile.FIFOTYPE),
    "twice": tar_member(TEXT),
    "long name": tar_member("a" * 10**4 + ".txt"),
    "newline in the name": tar_member("a\nb.txt"),
    "file below a file": tar_member(TEXT + "/x.txt"),
}
CASES: dict[str, Spoil] = {
    **{f"wav: fuzzed {seed}": fuzzed_header(seed) for seed in range(60)},
    **{
        f"wav: cut to {n} bytes": with_clip(lambda c, n=n: c[:n]) for n in (0, 1, 4, 12, 30, 44, 45)
    },
    **{f"wav: {n} channels": field(22, "<H", n) for n in (0, 2, 255, 65535)},
    **{f"wav: {n} Hz": field(24, "<I", n) for n in (0, 1, 7, 3999, 10**6, 2**31, 2**32 - 1)},
    **{f"wav: {n} bits": field(34, "<H", n) for n in (0, 1, 7, 24, 64, 65535)},
    **{f"wav: {n} bytes of data": field(40, "<I", n) for n in (0, 1, 2**31, 2**32 - 1)},
    **{f"wav: format {n}": field(20, "<H", n) for n in (0, 2, 3, 85, 65534)},
    "wav: not a number": sound(np.full(4000, np.nan), 16_000, "FLOAT"),
    "wav: infinite": sound(np.full(4000, np.inf), 16_000, "DOUBLE"),
    "wav: far above one": sound(np.full(4000, 1e30), 16_000, "FLOAT"),
    "wav: eight channels": sound(np.stack([WAVE] * 8, axis=1), 48_000, "PCM_24"),
    "wav: 255 channels": sound(np.stack([WAVE] * 255, axis=1), 16_000, "PCM_16"),
    "wav: a single sample": sound(WAVE[:1], 16_000, "PCM_16"),
    "wav: flac inside": sound(WAVE, 44_100, "PCM_16", "FLAC"),
    "wav: ogg inside": sound(WAVE, 44_100, "VORBIS", "OGG"),
    "wav: random bytes": with_clip(lambda _: random.Random(3).randbytes(10**5)),
    "wav: text": with_clip(lambda _: b"not audio\n" * 100),
    "wav: a page": with_clip(lambda _: b"<!DOCTYPE html><title>404</title>"),
    "wav: is a folder": instead_of(CLIP, Path.mkdir),
    "wav: is a pipe": instead_of(CLIP, os.mkfifo),
    "wav: links to a secret": instead_of(CLIP, lambda clip: clip.symlink_to("/etc/passwd")),
    "wav: links to itself": instead_of(CLIP, lambda clip: clip.symlink_to(clip)),
    "wav: is missing": instead_of(CLIP, lambda clip: None),
    **{f"zip: {name}": packed("zip", add) for name, add in ZIPS.items()},
    **{f"tar: {name}": packed("tar", add) for name, add in TARS.items()},
    "zip: a size that lies": lying_size,
    **{
        f"{kind}: cut to {share:.0%}": packed(kind, keep=share)
        for kind in ("zip", "tar", "tar.gz", "tar.xz")
        for share in (0, 0.1, 0.5, 0.9, 0.999)
    },
    **{f"text: {name}": with_file(TEXT, data) for name, data in TEXTS.items()},
    "text: is a folder": instead_of(TEXT, Path.mkdir),
    "text: is a pipe": instead_of(TEXT, os.mkfifo),
    "xml: is a folder": instead_of(XML, Path.mkdir),
    "xml: is a pipe": instead_of(XML, os.mkfifo),
    **{f"xml: {name}": with_file(XML, data) for name, data in XMLS.items()},
    **{f"yaml: {name}": must_c(text) for name, text in YAMLS.items()},
    **{f"table: {name}": table(data) for name, data in TABLES.items()},
}


def listing(folder: Path) -> list[tuple[str, int]]:
    """Everything below a folder, but for the output."""
    return sorted(
        (str(path.relative_to(folder)), path.lstat().st_size)
        for path in folder.rglob("*")
        if "out" not in path.relative_to(folder).parts[:1]
    )


@pytest.mark.parametrize("case", CASES)
def test_a_spoiled_corpus_is_refused_or_read_correctly(corpus, tmp_path, case):
    with counted(f"input, {case.partition(':')[0]}"):
        refused_or_read(CASES[case](tmp_path), tmp_path, case)


KINDS_WITH_LINES = ("text", "yaml", "table")


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith(KINDS_WITH_LINES)])
def test_with_bad_segments_left_out_the_rest_is_read_correctly(corpus, tmp_path, case):
    with counted(f"input, {case.partition(':')[0]}, bad segments left out"):
        refused_or_read(CASES[case](tmp_path), tmp_path, case, bad_segments="drop")


def refused_or_read(archive: Path, tmp_path: Path, case: str, **settings: str) -> None:
    before, outside = listing(tmp_path), listing_of_neighbours(tmp_path)
    output, message = tmp_path / "out" / "audio", tmp_path / "out" / "message"
    output.parent.mkdir()
    rows: list[dict] = []

    def work() -> None:
        chosen = configured(DataSettings, 6.0, **settings)
        rows.extend(prepare_segments(archive, output, chosen, ["en", "de"]))
        check(rows)

    ended = run_alone(work, message)
    text = message.read_text(encoding="utf-8") if message.exists() else ""
    assert ended in (REFUSED, DONE), f"{case}: exit {ended}\n{text[-3000:]}"
    assert listing(tmp_path) == before, "the input was changed"
    assert listing_of_neighbours(tmp_path) == outside, "something was written outside"
    assert not list(tmp_path.rglob("*.partial"))
    if ended == REFUSED:
        assert text.strip() and len(text) < 10_000
        assert not output.exists()


def listing_of_neighbours(folder: Path) -> list[str]:
    places = [folder.parent, Path("/tmp"), Path.cwd()]
    return [str(path) for place in places for path in place.glob("*owned*")]


def check(rows: list[dict]) -> None:
    """Clips are 16 kHz mono and as long as their row says; texts are one line."""
    assert rows
    for row in rows:
        info = soundfile.info(row["audio"])
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert abs(info.duration - row["duration"]) < 0.001
        for text in row["texts"].values():
            assert "\n" not in text and "\r" not in text and text.strip()
