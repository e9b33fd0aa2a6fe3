"""Fetch one large file over HTTP: resumed after a break, and checked before it is in place."""

import hashlib
import logging
import os
import time
from pathlib import Path

import requests
from tqdm import tqdm

from slimspeech.artifacts import require_space
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

BLOCK = 2**16  # bytes; what is lost of a piece that a broken connection leaves half
TIMEOUT = (30, 60)  # seconds to connect, and between two pieces
LONGEST_WAIT = 60.0
# Statuses that may be gone in a moment; every other one from 400 up is told at once.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Passing(Exception):
    """What may be gone at the next try."""


def download(
    url: str,
    path: str | Path,
    size: int,
    sha256: str,
    tries: int = 8,
    wait: float = 2.0,
) -> None:
    """Write the file at `url` to `path`, if it has `size` bytes and that SHA-256.

    It grows as a hidden sibling, from which the next try, or the next run, goes on. After a try
    that brought nothing it waits, first `wait` seconds and then twice as long each time, and gives
    up after `tries` of these in a row. Raises InputError when the server cannot be reached,
    refuses or has another file, and when the disk is too small; `path` is then as it was before.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    resumed = _size(partial) > 0
    _fetch(url, partial, path, size, tries, wait)
    found = _digest(partial)
    if found != sha256 and resumed:
        logger.warning("%s: what an earlier run left does not fit; starting over", partial)
        partial.unlink()
        _fetch(url, partial, path, size, tries, wait)
        found = _digest(partial)
    if found != sha256:
        partial.unlink()
        raise InputError(
            f"{url}: SHA-256 {found} is not the expected {sha256}, so this is another file or a "
            f"damaged one; nothing was kept, get it elsewhere and put it at {path}"
        )
    os.replace(partial, path)


def _fetch(url: str, partial: Path, path: Path, size: int, tries: int, wait: float) -> None:
    """Bring `partial` to `size` bytes."""
    if _size(partial) > size:
        partial.unlink()
    require_space(path.parent, size - _size(partial), f"{path.name} (its download)")
    failures = 0
    most = _size(partial)
    with (
        requests.Session() as session,
        tqdm(total=size, desc=path.name, unit="B", unit_scale=True, unit_divisor=1000) as bar,
    ):
        while _size(partial) < size:
            try:
                _continue(session, url, partial, size, bar)
                reason = "the server ended the file too early"
            except _Passing as error:
                reason = str(error)
            except requests.exceptions.Timeout:
                reason = "no answer in time"
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                logger.info("%s", error)
                reason = "no connection, or it broke"
            except requests.RequestException as error:
                raise InputError(f"{url}: {error}; check the address") from error
            there = _size(partial)
            if there >= size:
                break
            failures = 0 if there > most else failures + 1
            most = max(most, there)
            if failures >= tries:
                raise InputError(
                    f"{url}: {there} of {size} bytes arrived, then {tries} tries brought nothing "
                    f"({reason}); run again to go on from there, or put a copy at {path}"
                )
            pause = min(wait * 2 ** max(failures - 1, 0), LONGEST_WAIT)
            logger.warning("%s: %s; next try in %.0f s", url, reason, pause)
            time.sleep(pause)


def _continue(session: requests.Session, url: str, partial: Path, size: int, bar: tqdm) -> None:
    """Append to `partial` what one request brings."""
    start = _size(partial)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if answer.status_code in PASSING:
            raise _Passing(f"the server answered {answer.status_code} {answer.reason}")
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            partial.unlink(missing_ok=True)  # of another file
        if answer.status_code >= 400:
            raise InputError(
                f"{url}: the server answered {answer.status_code} {answer.reason}; look up where "
                "the file is now and give a copy of it instead"
            )
        if answer.status_code != 206 or not _begins_at(answer, start):
            start = 0  # the server sends all of it, whatever was asked for
        expected = answer.headers.get("Content-Length")
        if expected is not None and start + int(expected) != size:
            partial.unlink(missing_ok=True)
            raise InputError(
                f"{url}: the server has {start + int(expected)} bytes there and not {size}, so it "
                "is another file; give a copy of the right one instead"
            )
        bar.reset(total=size)
        bar.update(start)
        with open(partial, "r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            for block in answer.iter_content(BLOCK):
                file.write(block[: size - file.tell()])
                bar.update(len(block))


def _begins_at(answer: requests.Response, start: int) -> bool:
    return answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
