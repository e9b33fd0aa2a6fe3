"""What small servers share that answer on this machine as the Hugging Face Hub does."""

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
