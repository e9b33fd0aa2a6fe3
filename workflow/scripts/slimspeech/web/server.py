"""Runs the application: its socket, the address to open, a clean shutdown."""

import contextlib
import ipaddress
import os
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from slimspeech.errors import InputError

GRACE_SECONDS = 5
HIGHEST_PORT = 65_535


def bind(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not listen yet; port 0 chooses a free port.

    Raises InputError for an address that cannot be bound.
    """
    if not 0 <= port <= HIGHEST_PORT:
        raise InputError(f"port {port}: ports go from 0 to {HIGHEST_PORT}; give another --port")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(
            f"{host}, port {port}: cannot listen ({error.strerror or error}); "
            "give another --host or --port (0 chooses a free port)"
        ) from error
    return bound


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine can reach the socket."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def address(bound: socket.socket) -> str:
    """The URL for a browser on this machine."""
    host, port = bound.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def own_names(host: str, bound: socket.socket) -> tuple[str, ...]:
    """The host names of this machine, besides localhost, that requests may use."""
    if is_loopback(bound):
        return (host,)
    name = socket.gethostname()
    return (host, name, f"{name}.local")


class _Server(uvicorn.Server):
    """Ends the jobs before it waits for connections, because streams last as long as jobs."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            os._exit(128 + sig)  # a second ctrl-C does not wait for a model
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.queue.close()
        await super().shutdown(sockets)


def run(app: FastAPI, bound: socket.socket) -> None:
    """Serve until ctrl-C or SIGTERM."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config).run(sockets=[bound])
