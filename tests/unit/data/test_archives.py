import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from slimspeech.data import archives
from slimspeech.data.archives import is_litter, unpacked
from slimspeech.errors import InputError


def everything(name: str) -> bool:
    return True


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_only_wanted_members_are_unpacked(tmp_path: Path, corpus, kind: str):
    with unpacked(corpus.pack(kind), lambda name: name.endswith(".txt"), tmp_path / "out") as root:
        files = sorted(path for path in root.rglob("*") if path.is_file())
        assert len(files) == 6
        relative = corpus.text("dev", "zh").relative_to(corpus.root)
        assert (root / relative).read_bytes() == corpus.text("dev", "zh").read_bytes()


def test_a_folder_is_given_as_it_is(tmp_path: Path, corpus):
    with unpacked(corpus.root, everything, tmp_path / "out") as root:
        assert root == corpus.root
    assert not (tmp_path / "out").exists()


def zip_with(path: Path, name: str, mode: int = stat.S_IFREG) -> Path:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(entry, "content")
    return path


def tar_with(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = "/etc/passwd"
    entry.size = 7 if kind == tarfile.REGTYPE else 0
    with tarfile.open(path, "w") as file:
        file.addfile(entry, io.BytesIO(b"content"))
    return path


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../escape.txt", tarfile.REGTYPE),
        ("link.txt", tarfile.SYMTYPE),
        ("hard.txt", tarfile.LNKTYPE),
        ("device.txt", tarfile.CHRTYPE),
        ("pipe.txt", tarfile.FIFOTYPE),
    ],
)
def test_unsafe_members_are_named(tmp_path: Path, name: str, kind: bytes):
    (tmp_path / "in").mkdir()
    archive = tar_with(tmp_path / "in" / "bad.tar", name, kind)
    with (
        pytest.raises(InputError) as error,
        unpacked(archive, everything, tmp_path / "in" / "out"),
    ):
        pass
    assert repr(name) in str(error.value) and str(archive) in str(error.value)
    assert files_below(tmp_path) == [archive]


@pytest.mark.parametrize(
    ("pack", "name", "kind"),
    [
        (zip_with, "../escape.txt", stat.S_IFREG),
        (zip_with, "a/../../escape.txt", stat.S_IFREG),
        (zip_with, "/absolute.txt", stat.S_IFREG),
        (zip_with, "..\\escape.txt", stat.S_IFREG),
        (zip_with, "C:\\absolute.txt", stat.S_IFREG),
        (zip_with, "link.txt", stat.S_IFLNK),
        (zip_with, "device.txt", stat.S_IFCHR),
        (tar_with, "/absolute.txt", tarfile.REGTYPE),
    ],
)
def test_members_stay_files_of_the_folder(tmp_path: Path, pack, name: str, kind):
    (tmp_path / "in").mkdir()
    archive = pack(tmp_path / "in" / "odd.archive", name, kind)
    with unpacked(archive, everything, tmp_path / "in" / "out") as root:
        [unpacked_file] = files_below(root)
        assert unpacked_file.read_bytes() == b"content" and not unpacked_file.is_symlink()
    assert set(files_below(tmp_path)) == {archive, unpacked_file}


@pytest.mark.parametrize("limit", ["LARGEST_MEMBER", "LARGEST_TOTAL"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_bombs_are_refused_by_what_they_declare(
    tmp_path: Path, corpus, monkeypatch, kind: str, limit: str
):
    monkeypatch.setattr(archives, limit, 100)
    with (
        pytest.raises(InputError, match="100"),
        unpacked(corpus.pack(kind), everything, tmp_path / "out"),
    ):
        pass
    assert files_below(tmp_path / "out") == []


def test_a_member_larger_than_declared_is_refused(tmp_path: Path):
    """A zip whose list says 7 bytes where 1 MiB of zeros follows."""
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros.txt", bytes(2**20))
    content = archive.read_bytes().replace((2**20).to_bytes(4, "little"), (7).to_bytes(4, "little"))
    archive.write_bytes(content)
    with pytest.raises(InputError, match=r"bomb\.zip"), unpacked(archive, everything, tmp_path):
        pass
    assert not (tmp_path / "zeros.txt").exists() or (tmp_path / "zeros.txt").stat().st_size <= 7


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
@pytest.mark.parametrize("part", [0.3, 0.8])
def test_archives_cut_short_are_named(tmp_path: Path, corpus, kind: str, part: float):
    archive = corpus.pack(kind)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * part) | 1])
    with (
        pytest.raises(InputError, match="download it again") as error,
        unpacked(archive, everything, tmp_path / "out"),
    ):
        pass
    assert str(archive) in str(error.value)


def test_flipped_bytes_are_noticed(tmp_path: Path, corpus):
    archive = corpus.pack("zip")
    content = bytearray(archive.read_bytes())
    content[len(content) // 3] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(InputError, match="damaged"), unpacked(archive, everything, tmp_path / "o"):
        pass


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such archive"), (b"", "0 bytes"), (b"<html>404</html>", "neither zip nor tar")],
)
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, content: bytes | None, message: str):
    archive = tmp_path / "acl.zip"
    if content is not None:
        archive.write_bytes(content)
    with (
        pytest.raises(InputError, match=message) as error,
        unpacked(archive, everything, tmp_path / "out"),
    ):
        pass
    assert str(archive) in str(error.value)


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
def test_a_second_tar_behind_the_first_is_not_left_out(tmp_path: Path, corpus, kind: str):
    archive = corpus.pack(kind)
    archive.write_bytes(archive.read_bytes() * 2)
    with (
        pytest.raises(InputError, match="several tar archives in one file"),
        unpacked(archive, everything, tmp_path / "out"),
    ):
        pass


def test_litter_of_macos():
    assert is_litter("__MACOSX/2/acl_6060/dev/text/txt/._a.txt")
    assert is_litter("2/.DS_Store") and is_litter("2/._x.wav")
    assert not is_litter("2/acl_6060/dev/FILE_ORDER")
