"""Read the segments of talks from YAML, as MuST-C and IWSLT give them.

The file is a list of {wav, offset, duration, …}; offset and duration are in seconds.
"""

from collections.abc import Container
from pathlib import Path
from typing import Any

import yaml

from slimspeech.data.raw_segments import LONGEST_SECONDS
from slimspeech.errors import InputError
from slimspeech.git_lfs import require_content

# libyaml's loader is ten times as fast, which matters for 200,000 segments.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEEPEST = 100  # libyaml's loader calls itself for each level, until the process crashes


def read_entries(path: Path, name: str) -> list[Any]:
    """The entries, which are not checked yet. `name` is the path's name in messages.

    Raises InputError if the file is not a list in YAML, or an empty one.
    """
    require_content(path, name)
    content = path.read_bytes()
    try:
        is_deep = _is_deep(content)
        entries = None if is_deep else yaml.load(content, _Loader)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that cannot be
        raise InputError(
            f"{name}: not valid YAML ({' '.join(str(error).split())}); correct the file"
        ) from error
    if is_deep:
        raise InputError(f"{name}: lists in more than {DEEPEST} lists; correct the file")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{name}: not a list of segments {{duration, offset, wav}}; correct it")
    return entries


def _is_deep(content: bytes) -> bool:
    depth = 0
    for event in yaml.parse(content, _Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


def entry_problem(entry: Any, wavs: Container[str], folder: str = "wav/") -> str | None:
    """The problem with an entry, if any. wavs: the names of the wavs, which are in `folder`."""
    if not isinstance(entry, dict) or not {"duration", "offset", "wav"} <= entry.keys():
        return "lacks one of duration, offset, wav"
    for key, limit in (("duration", "above"), ("offset", "at least")):
        value = entry[key]
        if not isinstance(value, int | float) or not 0 <= value <= LONGEST_SECONDS:
            return f"has {key} {value!r}, not a number of seconds {limit} 0"
    if entry["duration"] == 0:
        return "has duration 0, not a number of seconds above 0"
    if str(entry["wav"]) not in wavs:
        return f"names {entry['wav']!r}, which is not in {folder}"
    return None
