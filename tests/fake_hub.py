"""What small servers share that answer on this machine as the Hugging Face Hub does."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

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
    """The URL of a server that lives as long as the context."""
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
    """A repository with the files of `served`, by name; what was fetched is listed in `asked`."""

    served: dict[str, bytes]
    asked: list[str]

    def do_GET(self):
        place = self.path.partition("?")[0]
        if place.startswith("/api/") and "/tree/" in place:
            files = [
                {"type": "file", "path": name, "size": len(data), "oid": self.etag(name)}
                for name, data in self.served.items()
            ]
            self.answer(200, json.dumps(files).encode())
        elif place.startswith("/api/"):
            files = [{"rfilename": name, "size": len(data)} for name, data in self.served.items()]
            info = {"id": "some/model", "sha": COMMIT, "siblings": files}
            self.answer(200, json.dumps(info).encode())
        else:
            name = place.partition(f"/resolve/{COMMIT}/")[2]
            self.asked.append(name)
            self.answer(200, self.served[name], ETag=f'"{self.etag(name)}"')

    do_HEAD = do_GET

    def etag(self, name: str) -> str:
        return hashlib.sha1(self.served[name]).hexdigest()


@contextmanager
def serve_model(files: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """The URL of a Hub with one model, and the names of the files that were asked for."""
    asked: list[str] = []
    with serve(type("ThisHandler", (ModelHandler,), {"served": files, "asked": asked})) as url:
        yield url, asked
