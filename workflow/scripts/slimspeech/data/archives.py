"""Open a corpus that comes as .zip, as .tar (.gz, .xz, .bz2) or as an unpacked folder.

An archive is not trusted: every name in it is checked before anything is written, and only the
members a caller wants are unpacked, each no longer than its header said.
"""

import errno
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from tqdm import tqdm

from slimspeech.artifacts import require_space
from slimspeech.errors import InputError

LARGEST_MEMBER = 2 * 2**30
LARGEST_TOTAL = 20 * 2**30
BLOCK = 2**20

# What the standard library raises on a damaged archive, besides its own errors.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
CLASHES = (FileExistsError, NotADirectoryError, IsADirectoryError)


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name, its bytes as declared, and how to open it."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


@contextmanager
def unpacked(
    archive: str | Path, wanted: Callable[[str], bool], scratch: str | Path
) -> Iterator[Path]:
    """Give a folder that holds the members for whose name `wanted` is true.

    A folder is given as it is; an archive is unpacked into `scratch`, which the caller removes.
    Raises InputError when the archive is missing, empty, of no known kind or damaged, when a
    member is unsafe (absolute, with "..", a link, a device, encrypted, there twice), or when it
    declares more than 2 GiB, or all together more than 20 GiB, or than the disk has free.
    """
    archive, scratch = Path(archive), Path(scratch)
    if archive.is_dir():
        yield archive
        return
    if not archive.exists():
        raise InputError(f"{archive}: no such archive; correct data/archive or download it there")
    if archive.stat().st_size == 0:
        raise InputError(f"{archive}: the archive has 0 bytes; download it again")
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, wanted, scratch)
        elif tarfile.is_tarfile(archive):
            _unpack_tar(archive, wanted, scratch)
        else:
            raise InputError(_no_archive(archive))
    except InputError:
        raise
    except DAMAGE as error:
        # A full disk or a missing permission is told as it is; names that cannot be are damage.
        number = getattr(error, "errno", None)
        if number and number != errno.ENAMETOOLONG and not isinstance(error, CLASHES):
            raise
        raise InputError(f"{archive}: damaged ({error}); download it again") from error
    yield scratch


def is_litter(name: str) -> bool:
    """Whether a member is what macOS leaves in archives."""
    parts = PurePosixPath(name).parts
    return any(part in (".DS_Store", "__MACOSX") or part.startswith("._") for part in parts)


def _no_archive(archive: Path) -> str:
    with open(archive, "rb") as file:
        start = file.read(2)
    if start == b"PK":
        return f"{archive}: a zip cut short; download it again"
    return (
        f"{archive}: neither zip nor tar, nor a folder or .tsv table; give one of these as "
        "data/archive"
    )


def _unpack_zip(archive: Path, wanted: Callable[[str], bool], scratch: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = []
        total = 0
        for entry in file.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if is_litter(entry.filename):
                continue
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _unsafe(archive, entry.filename, "is a link or a device")
            total = _checked_total(archive, entry.filename, entry.file_size, total)
            if entry.is_dir() or not wanted(entry.filename):
                continue
            if entry.flag_bits & 1:
                raise _unsafe(archive, entry.filename, "is encrypted")
            members.append(
                Member(entry.filename, entry.file_size, lambda entry=entry: file.open(entry))
            )
        _write(archive, members, scratch)


def _unpack_tar(archive: Path, wanted: Callable[[str], bool], scratch: Path) -> None:
    # Two passes, as a tar has no list of its members: nothing is written before all are checked.
    with tarfile.open(archive) as file:
        members = []
        total = 0
        for entry in file:
            if is_litter(entry.name):
                continue
            if not (entry.isreg() or entry.isdir()):
                raise _unsafe(archive, entry.name, "is a link or a device")
            total = _checked_total(archive, entry.name, entry.size, total)
            if entry.isdir() or not wanted(entry.name):
                continue
            members.append(
                Member(entry.name, entry.size, lambda entry=entry: file.extractfile(entry))
            )
        _write(archive, members, scratch)


def _checked_total(archive: Path, name: str, size: int, total: int) -> int:
    windows = PureWindowsPath(name)  # takes / and \ alike, and knows drives
    if windows.drive or windows.root or ".." in windows.parts:
        raise _unsafe(archive, name, "would be written outside its folder")
    if size > LARGEST_MEMBER:
        raise _unsafe(archive, name, f"declares {size} bytes, above {LARGEST_MEMBER}")
    if total + size > LARGEST_TOTAL:
        raise _unsafe(archive, name, f"takes the archive above {LARGEST_TOTAL} bytes")
    return total + size


def _write(archive: Path, members: list[Member], scratch: Path) -> None:
    require_space(scratch, sum(member.size for member in members), f"{archive}, unpacked,")
    seen = set()
    for member in tqdm(members, desc="unpacking", unit="file"):
        target = scratch / PurePosixPath(member.name)
        if target in seen:
            raise _unsafe(archive, member.name, "is there twice")
        seen.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        written = 0
        with member.open() as source, open(target, "wb") as copy:
            while block := source.read(BLOCK):
                written += len(block)
                if written > member.size:
                    break
                copy.write(block)
        if written != member.size:
            raise _unsafe(archive, member.name, f"is not the {member.size} bytes it declares")


def _unsafe(archive: Path, name: str, reason: str) -> InputError:
    return InputError(
        f"{archive}: member {name!r} {reason}; nothing was unpacked, get the archive from its "
        "publisher again"
    )
