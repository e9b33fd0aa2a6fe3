"""Snapshots from a small server that answers as the Hugging Face Hub does."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_hub import COMMIT, HubHandler, serve

from slimspeech.errors import InputError
from slimspeech.hub.download import download_snapshot

FILES = {
    "README.md": b"# A data set\n",
    "data/dev-00000-of-00001.parquet": b"dev" * 1000,
    "data/eval-00000-of-00001.parquet": b"eval" * 1000,
}


class Handler(HubHandler):
    """problem: the status and the X-Error-Code of an answer."""

    problem: tuple[int, str] | None = None
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path.partition("?")[0])
        if self.problem:
            status, code = self.problem
            self.answer(status, b"{}", **{"X-Error-Code": code})
        elif self.path.startswith("/api/datasets/") and "/tree/" in self.path:
            self.answer(200, json.dumps([self.entry(name) for name in FILES]).encode())
        elif self.path.startswith("/api/datasets/"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in FILES.items()]
            info = {"id": "some/corpus", "sha": COMMIT, "siblings": siblings}
            self.answer(200, json.dumps(info).encode())
        else:
            name = self.path.partition("?")[0].partition(f"/resolve/{COMMIT}/")[2]
            self.answer(200, FILES[name], ETag=f'"{self.etag(name)}"')

    do_HEAD = do_GET

    def entry(self, name: str) -> dict:
        return {"type": "file", "path": name, "size": len(FILES[name]), "oid": self.etag(name)}

    def etag(self, name: str) -> str:
        return hashlib.sha1(FILES[name]).hexdigest()


@pytest.fixture
def hub() -> Iterator[SimpleNamespace]:
    handler = type("ThisHandler", (Handler,), {"asked": []})
    with serve(handler) as url:
        yield SimpleNamespace(url=url, handler=handler)


def fetch(url: str, folder: Path, patterns=("*.parquet",)) -> str:
    return download_snapshot("some/corpus", COMMIT, folder, "dataset", patterns, endpoint=url)


def test_matching_files_arrive(hub, tmp_path: Path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "old.parquet").write_bytes(b"of another revision")
    assert fetch(hub.url, folder) == COMMIT
    arrived = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert arrived == {name: data for name, data in FILES.items() if name != "README.md"}
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        ((401, "RepoNotFound"), "some/corpus: no such dataset on the Hub, or a private one"),
        ((404, "RepoNotFound"), "some/corpus: no such dataset on the Hub"),
        ((403, "GatedRepo"), "some/corpus: gated; accept its terms on its page, then log in"),
        ((404, "RevisionNotFound"), f"some/corpus: no revision {COMMIT}"),
        ((418, "Teapot"), "some/corpus at .*; correct its name or try later"),
    ],
)
def test_each_refusal_has_its_message(hub, tmp_path: Path, problem, message: str):
    hub.handler.problem = problem
    with pytest.raises(InputError, match=message) as error:
        fetch(hub.url, tmp_path / "corpus")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_matching_file(hub, tmp_path: Path):
    with pytest.raises(InputError, match=r"no file matches \*\.arrow"):
        fetch(hub.url, tmp_path / "corpus", ["*.arrow"])


def test_the_disk_is_checked_first(hub, tmp_path: Path, monkeypatch):
    usage = SimpleNamespace(free=6_999)
    monkeypatch.setattr("slimspeech.artifacts.shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="the disk has"):
        fetch(hub.url, tmp_path / "corpus")
    assert not any("/resolve/" in path for path in hub.handler.asked)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_that_cannot_be_reached(tmp_path: Path):
    with pytest.raises(InputError, match="the Hub cannot be reached"):
        fetch("http://127.0.0.1:9", tmp_path / "corpus")
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_name(tmp_path: Path):
    with pytest.raises(InputError, match="correct its name"):
        download_snapshot("no/such/name", COMMIT, tmp_path / "corpus", "dataset", ["*"])
