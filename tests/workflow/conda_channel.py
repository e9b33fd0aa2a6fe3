"""A conda channel of two packages in a folder: the Python at hand, and its pip.

They are made of files that lie on this machine, so that an environment of `envs/` can be solved and
installed where no channel can be reached.
"""

import asyncio
import hashlib
import io
import json
import sys
import sysconfig
import tarfile
from collections.abc import Mapping
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path

from rattler.index import index_fs
from rattler.platform import Subdir

VERSION = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))
# Not needed to run, and half of the library.
LEFT_OUT = ("__pycache__", "site-packages", "dist-packages", "test", "idlelib", "config-*")


def write_channel(folder: Path) -> None:
    """Afterwards `folder` is what `channels:` of an environment may name by a file:// URL."""
    own = str(Subdir.current())
    series = {"name": "python", "version": VERSION, "depends": []}
    _write_package(folder / own, series, _interpreter())
    pip = distribution("pip")
    noarch = {"name": "pip", "version": pip.version, "depends": ["python >=3.11"]}
    files = {
        f"site-packages/{file}": Path(pip.locate_file(file))
        for file in pip.files or []
        if file.suffix != ".pyc" and ".." not in file.parts
    }
    _write_package(folder / "noarch", noarch | {"noarch": "python"}, files)
    asyncio.run(index_fs(folder))


def _interpreter() -> dict[str, Path]:
    """The files of the Python that this one, or its virtual environment, was made from."""
    library = Path(sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix}))
    files = {
        f"lib/python{MINOR}/{path.relative_to(library).as_posix()}": path
        for path in sorted(library.rglob("*"))
        if path.is_file() and not _left_out(path.relative_to(library))
    }
    executable = Path(sys._base_executable).resolve()
    return files | {f"bin/{name}": executable for name in ("python", "python3", f"python{MINOR}")}


def _left_out(path: Path) -> bool:
    return any(fnmatch(part, pattern) for part in path.parts for pattern in LEFT_OUT)


def _write_package(folder: Path, about: Mapping[str, object], files: Mapping[str, Path]) -> None:
    folder.mkdir(parents=True)
    index = {"build": "0", "build_number": 0, "subdir": folder.name, **about}
    metadata = {
        "index.json": index,
        "paths.json": {
            "paths_version": 1,
            "paths": [
                {
                    "_path": name,
                    "path_type": "hardlink",
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                    "size_in_bytes": path.stat().st_size,
                }
                for name, path in files.items()
            ],
        },
    }
    if about.get("noarch"):
        metadata["link.json"] = {"package_metadata_version": 1, "noarch": {"type": "python"}}
    archive = folder / f"{about['name']}-{about['version']}-0.tar.bz2"
    with tarfile.open(archive, "w:bz2", compresslevel=1) as tar:
        for name, content in metadata.items():
            data = json.dumps(content).encode()
            entry = tarfile.TarInfo(f"info/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for name, path in files.items():
            entry = tar.gettarinfo(path, name)
            entry.type, entry.linkname = tarfile.REGTYPE, ""  # two names of one file are two files
            entry.size = path.stat().st_size
            with open(path, "rb") as file:
                tar.addfile(entry, file)
