"""Fetch one large file over HTTP: resumed after a break, and checked before it is in place."""

import logging
import os
import time
from pathlib import Path

import requests
from tqdm import tqdm

from slimspeech.artifacts import require_space
from slimspeech.checksums import file_sha256
from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

BLOCK = 2**16  # bytes; at most this much of what arrived is lost when a connection breaks
TIMEOUT = (30, 60)  # seconds to connect, and between two blocks
LONGEST_WAIT = 60.0
# Statuses that a later request may not meet; any other from 400 up is an error at once.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
BROKEN = (requests.Timeout, requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def download(
    url: str,
    path: str | Path,
    size: int,
    sha256: str,
    tries: int = 8,
    wait: float = 2.0,
) -> None:
    """Write the file at `url` to `path`, if it has `size` bytes and that SHA-256.

    The file grows as a hidden sibling, from which the next try, or the next run, continues. After
    a try that brought nothing it waits, first `wait` seconds and then twice as long each time, and
    gives up after `tries` of these in a row. Raises InputError when the server cannot be reached,
    refuses or has another file, and when the disk is too small; `path` is then as it was before.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    resumed = partial.exists()
    if _size(partial) > size:
        partial.unlink()
    require_space(path.parent, size - _size(partial), f"{path.name} (its download)")
    _fetch(url, partial, path, size, tries, wait)
    digest = file_sha256(partial)
    if digest == sha256:
        os.replace(partial, path)
        return
    partial.unlink()
    if not resumed:
        raise InputError(
            f"{url}: SHA-256 {digest} is not the expected {sha256}, so this is another file or a "
            f"damaged one; nothing was kept, get it elsewhere and put it at {path}"
        )
    logger.warning("%s: an earlier run left a part of another file; starting over", partial)
    download(url, path, size, sha256, tries, wait)


def _fetch(url: str, partial: Path, path: Path, size: int, tries: int, wait: float) -> None:
    """Bring `partial` to `size` bytes."""
    failures = 0
    most = _size(partial)
    with (
        requests.Session() as session,
        tqdm(total=size, desc=path.name, unit="B", unit_scale=True, unit_divisor=1000) as bar,
    ):
        while _size(partial) < size:
            problem = "the server ended the file too early"
            try:
                _append(session, url, partial, size, bar)
            except requests.HTTPError as error:
                problem = str(error)
            except BROKEN as error:
                logger.info("%s", error)
                problem = "no connection, or it broke or stalled"
            except requests.RequestException as error:
                raise InputError(f"{url}: {error}; check the address") from error
            arrived = _size(partial)
            if arrived >= size:
                break
            failures = 0 if arrived > most else failures + 1
            most = max(most, arrived)
            if failures >= tries:
                raise InputError(
                    f"{url}: {arrived} of {size} bytes arrived, then {tries} tries brought nothing "
                    f"({problem}); run again to continue from there, or put a copy at {path}"
                )
            pause = min(wait * 2 ** max(failures - 1, 0), LONGEST_WAIT)
            logger.warning("%s: %s; next try in %.0f s", url, problem, pause)
            time.sleep(pause)


def _append(session: requests.Session, url: str, partial: Path, size: int, bar: tqdm) -> None:
    """Add what one request brings. Raises HTTPError for a status that may pass."""
    start = _size(partial)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        status = f"the server answered {answer.status_code} {answer.reason}"
        if answer.status_code in PASSING:
            raise requests.HTTPError(status)
        if answer.status_code >= 400:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                partial.unlink(missing_ok=True)  # a part of another file
            raise InputError(
                f"{url}: {status}; look up where the file is now and give a copy of it instead"
            )
        if not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends the whole file, whatever the request says
        length = answer.headers.get("Content-Length")
        if length is not None and start + int(length) != size:
            partial.unlink(missing_ok=True)
            raise InputError(
                f"{url}: the server has {start + int(length)} bytes there and not {size}, so it "
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


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
