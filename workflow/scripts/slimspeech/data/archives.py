"""Open a corpus that comes as .zip, as .tar (.gz, .xz, .bz2) or as an unpacked folder.

An archive is not trusted. zipfile and tarfile keep its names inside the folder and its members to
the sizes they declare; this module limits these sizes and refuses links.
"""

import errno
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tqdm import tqdm

from slimspeech.artifacts import require_space
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

LARGEST_MEMBER = 2 * 2**30
LARGEST_TOTAL = 20 * 2**30
PADDING = 2**20  # bytes; more zeros than a tar ends with

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
# Names that cannot be written, or clash. Other system errors, such as a full disk, are not damage.
BAD_NAMES = {errno.ENAMETOOLONG, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}

Entry = TypeVar("Entry", zipfile.ZipInfo, tarfile.TarInfo)


@contextmanager
def unpacked(
    archive: str | Path, wanted: Callable[[str], bool], scratch: str | Path
) -> Iterator[Path]:
    """Give a folder that holds the members for whose name `wanted` is true.

    A folder is given as it is; an archive is unpacked into `scratch`, which the caller removes.
    Raises InputError when the archive is missing, empty, of no known kind or damaged, when a tar
    has a link, a device or a name that leads outside, when a wanted member is encrypted, and when
    a member declares more than 2 GiB, or all together more than 20 GiB or than the disk has free.
    """
    archive, scratch = Path(archive), Path(scratch)
    if os.path.isdir(archive):
        yield archive
        return
    if not os.path.exists(archive):
        raise InputError(f"{archive}: no such archive; correct data/archive or download it there")
    if archive.stat().st_size == 0:
        raise InputError(f"{archive}: the archive has 0 bytes; download it again")
    require_content(archive)
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
        if getattr(error, "errno", None) not in {None, *BAD_NAMES}:
            raise
        raise InputError(f"{archive}: damaged or unsafe ({error}); download it again") from error
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
        entries = [
            (entry.filename, entry.file_size, entry)
            for entry in file.infolist()
            if not entry.is_dir()
        ]
        for entry in _select(archive, entries, wanted, scratch):
            file.extract(entry, scratch)


def _unpack_tar(archive: Path, wanted: Callable[[str], bool], scratch: Path) -> None:
    with tarfile.open(archive) as file:
        entries = ((entry.name, entry.size, entry) for entry in file if not entry.isdir())
        selected = _select(archive, entries, wanted, scratch)
        _check_end(archive, file)
        for entry in selected:
            if not entry.isreg():
                raise _refusal(archive, entry.name, "is a link or a device")
            file.extract(entry, scratch, filter="data")


def _check_end(archive: Path, file: tarfile.TarFile) -> None:
    """Raise InputError if another tar follows, as after `cat`; tarfile would leave it out."""
    following = file.fileobj.read(PADDING).lstrip(b"\0")
    if b"ustar" in following[: tarfile.BLOCKSIZE]:
        raise InputError(
            f"{archive}: several tar archives in one file; unpack it with "
            "`tar --ignore-zeros -xf`, and give the folder"
        )


def _select(
    archive: Path,
    entries: Iterable[tuple[str, int, Entry]],
    wanted: Callable[[str], bool],
    scratch: Path,
) -> Iterable[Entry]:
    """The wanted of the entries (name, declared bytes, entry), once all sizes are checked."""
    selected, needed, total = [], 0, 0
    for name, size, entry in entries:
        if is_litter(name):
            continue
        total += size
        if size > LARGEST_MEMBER:
            raise _refusal(archive, name, f"declares {size} bytes, above {LARGEST_MEMBER}")
        if total > LARGEST_TOTAL:
            raise _refusal(archive, name, f"takes the archive above {LARGEST_TOTAL} bytes")
        if wanted(name):
            selected.append(entry)
            needed += size
    require_space(scratch, needed, f"{archive}, unpacked,")
    return tqdm(selected, desc="unpacking", unit="file")


def _refusal(archive: Path, name: str, reason: str) -> InputError:
    return InputError(
        f"{archive}: member {name!r} {reason}; get the archive from its publisher again"
    )
