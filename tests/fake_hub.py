"""Small servers on this machine that answer as the Hugging Face Hub does."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubHandler(BaseHTTPRequestHandler):
    def answer(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        self.send_response(status)
        sizes = {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT}
        for key, value in ({"Content-Type": "application/json"} | sizes | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serve(handler: type[HubHandler]) -> Iterator[str]:
    """The URL of a server that runs as long as the context is open."""
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class ModelHandler(HubHandler):
    """A repository with the files of `served`, by name; `fetched` lists the files requested."""

    served: dict[str, bytes]
    fetched: list[str]

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path.startswith("/api/") and "/tree/" in path:
            files = [
                {"type": "file", "path": name, "size": len(data), "oid": self.etag(name)}
                for name, data in self.served.items()
            ]
            self.answer(200, json.dumps(files).encode())
        elif path.startswith("/api/"):
            files = [{"rfilename": name, "size": len(data)} for name, data in self.served.items()]
            info = {"id": "some/model", "sha": COMMIT, "siblings": files}
            self.answer(200, json.dumps(info).encode())
        else:
            name = path.partition(f"/resolve/{COMMIT}/")[2]
            self.fetched.append(name)
            self.answer(200, self.served[name], ETag=f'"{self.etag(name)}"')

    do_HEAD = do_GET

    def etag(self, name: str) -> str:
        return hashlib.sha1(self.served[name]).hexdigest()


@contextmanager
def serve_model(files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """The URL of a Hub with one model, and the names of the files that were fetched."""
    fetched: list[str] = []
    with serve(type("ThisHandler", (ModelHandler,), {"served": files, "fetched": fetched})) as url:
        yield url, fetched


TOKEN = "hf_SecretOfTheTests"
LFS = "/lfs-storage"


@dataclass
class Store:
    """The content of a Hub and its requests. refusals: status by a part of the path."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)  # by "owner/name@branch"
    private: dict[str, bool] = field(default_factory=dict)  # by "owner/name"
    blobs: dict[str, bytes] = field(default_factory=dict)  # by SHA-256
    requests: list[str] = field(default_factory=list)
    large: list[str] = field(default_factory=list)  # names that were committed as LFS
    refusals: dict[str, int] = field(default_factory=dict)
    yaml_errors: list[str] = field(default_factory=list)


class StoringHandler(HubHandler):
    """Repositories of models: created, and written by commits, of plain files and of LFS."""

    store: Store

    def do_POST(self):
        self._serve()

    do_GET = do_PUT = do_POST

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(self.path.partition("?")[0])
        self.store.requests.append(f"{self.command} {path}")
        refused = [status for part, status in self.store.refusals.items() if part in path]
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if path.startswith(f"{LFS}/") and self.command == "PUT":  # signed, so without a token
            oid = path.removeprefix(f"{LFS}/")
            ok = hashlib.sha256(body).hexdigest() == oid and not refused
            self.store.blobs |= {oid: body} if ok else {}
            return self.answer(200 if ok else (refused or [422])[0])
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            message = "Invalid credentials in Authorization header"
            return self.answer(401, b'{"error": "no"}', **{"X-Error-Message": message})
        if refused:
            return self.answer(refused[0], b'{"error": "refused by the test"}')
        lines = "/commit/" in path  # a JSON object a line
        return self._act(path, body if lines else json.loads(body or b"{}"))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _act(self, path: str, body: Any) -> None:
        store = self.store
        if path == "/api/repos/create":
            name = f"{body['organization']}/{body['name']}"
            if name in store.private:
                taken = {
                    "error": "You already created this model repo",
                    "url": f"{self.url}/{name}",
                }
                return self.answer_json(taken, 409)
            store.private[name] = body.get("visibility") == "private"
            store.files[f"{name}@main"] = {".gitattributes": b"*.safetensors filter=lfs\n"}
            return self.answer_json({"url": f"{self.url}/{name}", "id": name})
        if path == "/api/validate-yaml":
            errors = [{"message": text} for text in store.yaml_errors]
            return self.answer_json({"errors": errors, "warnings": []}, 400 if errors else 200)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.answer_json(
                {"transfer": "basic", "objects": [self.link(o) for o in body["objects"]]}
            )
        if path == f"{LFS}/verify":
            held = store.blobs.get(body["oid"], b"")
            return self.answer_json({}, 200 if len(held) == body["size"] else 404)
        owner, name, *rest = path.removeprefix("/api/models/").split("/", 3)
        repository = f"{owner}/{name}"
        if repository not in store.private:
            return self.answer(404, b"{}", **{"X-Error-Code": "RepoNotFound"})
        if not rest:
            info = {"id": repository, "private": store.private[repository], "sha": COMMIT}
            return self.answer_json(info | {"siblings": [], "downloads": 0, "tags": []})
        verb, branch = rest
        return getattr(self, verb)(f"{repository}@{branch}", body)

    def branch(self, branch: str, _: Any) -> None:
        main = branch.partition("@")[0] + "@main"
        taken = branch in self.store.files
        self.store.files.setdefault(branch, dict(self.store.files[main]))
        self.answer_json({}, 409 if taken else 200)

    def tree(self, branch: str, _: Any) -> None:
        names = self.store.files[branch]
        oid = "0" * 40
        self.answer_json(
            [{"type": "file", "path": n, "size": len(d), "oid": oid} for n, d in names.items()]
        )

    def preupload(self, branch: str, body: Any) -> None:
        if branch not in self.store.files:
            return self.answer(404, b"{}", **{"X-Error-Code": "RevisionNotFound"})
        modes = {True: "lfs", False: "regular"}
        files = [
            {
                "path": file["path"],
                "uploadMode": modes[file["path"].endswith(".safetensors") or file["size"] > 10**7],
                "shouldIgnore": False,
                "oid": None,
            }
            for file in body["files"]
        ]
        return self.answer_json({"files": files})

    def commit(self, branch: str, body: bytes) -> None:
        files = dict(self.store.files[branch])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.store.blobs[value["oid"]]
                self.store.large.append(value["path"])
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        self.store.files[branch] = files
        url = f"{self.url}/{branch.partition('@')[0]}/commit/{COMMIT}"
        self.answer_json({"commitUrl": url, "commitOid": COMMIT, "pullRequestUrl": None})

    def link(self, blob: dict[str, Any]) -> dict[str, Any]:
        """Where to upload a large file; nowhere if it is stored already."""
        if blob["oid"] in self.store.blobs:
            return blob
        actions = {"upload": f"{LFS}/{blob['oid']}", "verify": f"{LFS}/verify"}
        return blob | {"actions": {k: {"href": self.url + path} for k, path in actions.items()}}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer_json(self, value: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode())


@contextmanager
def serve_store() -> Iterator[tuple[str, Store]]:
    store = Store()
    with serve(type("ThisHandler", (StoringHandler,), {"store": store})) as url:
        yield url, store
