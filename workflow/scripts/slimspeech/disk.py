"""Look whether the disk holds what is going to be written."""

import shutil
from pathlib import Path

from slimspeech.errors import InputError


def require_space(folder: str | Path, needed: int, what: str) -> None:
    """Raise InputError unless the disk of `folder` has `needed` bytes free for `what`.

    The folder need not be there yet.
    """
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise InputError(
            f"{folder}: {what} takes {needed / 1e9:.2f} GB and the disk has {free / 1e9:.2f} GB "
            "free; make room or run the project on another disk"
        )
