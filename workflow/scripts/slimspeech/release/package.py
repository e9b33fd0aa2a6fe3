"""Write a release: the files of a packed student, slimspeech.json, a model card and hashes."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimspeech.artifacts import write_directory, write_json, write_text
from slimspeech.checksums import file_sha256
from slimspeech.errors import InputError
from slimspeech.release.metadata import FACTS

CARD = "README.md"
HASHES = "sha256.txt"


def write_release(
    packed: str | Path, release: str | Path, facts: Mapping[str, Any], card: str, hashes: str
) -> None:
    """Write a release directory, with links to the files of a packed student.

    facts: for slimspeech.json. hashes: of the packed files, as `sha256sum` writes them, with any
    path before the names. The card has no hash, so that it may be edited. Raises InputError naming
    a file that has a hash but does not exist.
    """

    def write(partial: Path) -> None:
        digests = {}
        for line in hashes.splitlines():
            digest, path = line.split(maxsplit=1)
            name = Path(path).relative_to(packed).as_posix()
            _link(Path(packed, name), partial / name)
            digests[name] = digest
        write_json(partial / FACTS, facts)
        digests[FACTS] = file_sha256(partial / FACTS)
        lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
        write_text(partial / HASHES, "".join(lines))
        write_text(partial / CARD, card)

    write_directory(release, write)


def _link(source: Path, target: Path) -> None:
    """Make a hard link, which takes no space, or a copy where the file system has no links."""
    if not source.is_file():
        raise InputError(f"{source}: has a hash but does not exist; pack the student again")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
