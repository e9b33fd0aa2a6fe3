"""Downloads from a small server that breaks in every way that a test asks for."""

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from slimspeech.data.download import BLOCK, download
from slimspeech.errors import InputError

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[SimpleNamespace]:
    """`behaviour` is called with a handler and the first byte asked for; `ranges` lists these."""
    state = SimpleNamespace(behaviour=send_all, ranges=[])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            wanted = self.headers.get("Range", "bytes=0-")
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            state.ranges.append(start)
            state.behaviour(self, start)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}/acl.zip"
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def send(handler, start, content=CONTENT, upto=None, promised=None):
    """Answer with the rest of the content, or with less than was promised."""
    handler.send_response(206 if start else 200)
    if start:
        handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    promised = promised if promised is not None else len(content) - start
    handler.send_header("Content-Length", str(promised))
    handler.end_headers()
    handler.wfile.write(content[start:upto])


def send_all(handler, start):
    send(handler, start)


def fetch(server, path: Path, **changes) -> None:
    settings = {"size": len(CONTENT), "sha256": SHA256, "tries": 3, "wait": 0.0} | changes
    download(server.url, path, **settings)


def test_a_file_arrives_whole(server, tmp_path: Path):
    fetch(server, tmp_path / "corpora" / "acl.zip")
    assert (tmp_path / "corpora" / "acl.zip").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == ["acl.zip"]


def test_a_cut_connection_is_resumed(server, tmp_path: Path):
    def cut_twice(handler, start):
        send(handler, start, upto=start + 5 * BLOCK if len(server.ranges) < 3 else None)

    server.behaviour = cut_twice
    fetch(server, tmp_path / "acl.zip")
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT
    assert server.ranges == [0, 5 * BLOCK, 10 * BLOCK]


def test_another_run_resumes_the_first(server, tmp_path: Path):
    (tmp_path / ".acl.zip.partial").write_bytes(CONTENT[:400_000])
    fetch(server, tmp_path / "acl.zip")
    assert server.ranges == [400_000]
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_over(server, tmp_path: Path):
    (tmp_path / ".acl.zip.partial").write_bytes(CONTENT[:400_000])
    server.behaviour = lambda handler, _: send(handler, 0)
    fetch(server, tmp_path / "acl.zip")
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 400_000, b"x" * len(CONTENT), b"x" * 2_000_000])
def test_a_part_of_another_file_is_fetched_again(server, tmp_path: Path, left: bytes):
    (tmp_path / ".acl.zip.partial").write_bytes(left)
    fetch(server, tmp_path / "acl.zip")
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(server, tmp_path: Path, caplog):
    def busy_once(handler, start):
        if len(server.ranges) == 1:
            handler.send_error(503)
        else:
            send(handler, start)

    server.behaviour = busy_once
    with caplog.at_level(logging.WARNING):
        fetch(server, tmp_path / "acl.zip")
    assert "answered 503" in caplog.text
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT


def test_waits_grow(server, tmp_path: Path, monkeypatch):
    waits = []
    monkeypatch.setattr("slimspeech.data.download.time.sleep", waits.append)
    server.behaviour = lambda handler, _: handler.send_error(503)
    with pytest.raises(InputError):
        fetch(server, tmp_path / "acl.zip", tries=5, wait=2.0)
    assert waits == [2.0, 4.0, 8.0, 16.0]


WRONG = CONTENT[:-1] + b"!"


@pytest.mark.parametrize(
    ("behaviour", "message", "kept"),
    [
        (lambda h, start: send(h, start, WRONG), "SHA-256 .* is not the expected", 0),
        (lambda h, _: h.send_error(404), "answered 404", 0),
        (lambda h, start: send(h, start, b"<html>"), "has 6 bytes there and not 1024000", 0),
        (lambda h, start: send(h, start, CONTENT + b"!"), "1024001 bytes there", 0),
        (
            lambda h, start: send(h, start, upto=max(start, BLOCK)),
            "65536 of 1024000 bytes arrived, then 3 tries brought nothing .no connection, or it",
            BLOCK,
        ),
    ],
)
def test_an_error_names_the_address_and_leaves_no_file(
    server, tmp_path: Path, behaviour, message: str, kept: int
):
    server.behaviour = behaviour
    with pytest.raises(InputError, match=message) as error:
        fetch(server, tmp_path / "acl.zip")
    assert server.url in str(error.value)
    left = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert left == ({".acl.zip.partial": kept} if kept else {})


def test_a_server_without_ranges_that_always_breaks_is_given_up(server, tmp_path: Path):
    pieces = [5, 3, 4, 3]
    server.behaviour = lambda handler, _: send(
        handler, 0, upto=pieces[min(len(server.ranges) - 1, 3)] * BLOCK
    )
    with pytest.raises(InputError, match="then 3 tries brought nothing"):
        fetch(server, tmp_path / "acl.zip")
    assert len(server.ranges) == 4


def test_a_part_longer_than_the_servers_file(server, tmp_path: Path):
    (tmp_path / ".acl.zip.partial").write_bytes(CONTENT[:400_000])
    server.behaviour = lambda handler, _: handler.send_error(416)
    with pytest.raises(InputError, match="answered 416"):
        fetch(server, tmp_path / "acl.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_be_reached(tmp_path: Path):
    server = SimpleNamespace(url="http://127.0.0.1:9/acl.zip")
    with pytest.raises(InputError, match="0 of 1024000 bytes arrived, then 3 tries"):
        fetch(server, tmp_path / "acl.zip")
    assert list(tmp_path.iterdir()) == []


def test_the_disk_is_checked_first(server, tmp_path: Path, monkeypatch):
    usage = SimpleNamespace(free=1_000_000)
    monkeypatch.setattr("slimspeech.artifacts.shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"takes 0\.00 GB and the disk has 0\.00 GB free"):
        fetch(server, tmp_path / "acl.zip")
    assert server.ranges == []
    # What is there already need not fit again.
    (tmp_path / ".acl.zip.partial").write_bytes(CONTENT[:400_000])
    fetch(server, tmp_path / "acl.zip")
    assert (tmp_path / "acl.zip").read_bytes() == CONTENT


def test_an_error_leaves_the_last_good_file(server, tmp_path: Path):
    (tmp_path / "acl.zip").write_bytes(b"good")
    server.behaviour = lambda handler, start: send(handler, start, WRONG)
    with pytest.raises(InputError):
        fetch(server, tmp_path / "acl.zip")
    assert (tmp_path / "acl.zip").read_bytes() == b"good"
