"""Pointers of Git LFS: what stands in place of a large file that git did not fetch."""

from pathlib import Path

from slimspeech.errors import InputError

START = b"version https://git-lfs.github.com/spec/"
LARGEST = 1024  # bytes of a pointer, by the specification of Git LFS


def require_content(path: Path, name: str | None = None) -> None:
    """Raise InputError if the file is a pointer of Git LFS. name: in the message, if not the path.

    What is not a plain file, or cannot be read, passes.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return
        with path.open("rb") as file:
            start = file.read(len(START))
    except OSError:
        return
    if start == START:
        raise InputError(
            f"{name or path}: a pointer of Git LFS and not the file itself; run `git lfs pull` in "
            "the repository that it comes from"
        )
