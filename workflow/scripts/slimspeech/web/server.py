"""Run the application: the socket, the address to open, and a clean end."""

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
    """A socket that is bound and not yet listening; port 0 takes any free one.

    Raises InputError for an address that cannot be had.
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
            f"{host}, port {port}: cannot listen there ({error.strerror or error}); "
            "give another --host or --port (0 takes any that is free)"
        ) from error
    return bound


def is_loopback(bound: socket.socket) -> bool:
    """Whether only this machine can reach the socket."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def address(bound: socket.socket) -> str:
    """What to open in a browser on this machine."""
    host, port = bound.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "localhost"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def own_names(host: str, bound: socket.socket) -> tuple[str, ...]:
    """The names besides localhost that browsers may call this machine by."""
    if is_loopback(bound):
        return (host,)
    name = socket.gethostname()
    return (host, name, f"{name}.local")


class _Server(uvicorn.Server):
    """Ends the jobs before it waits for connections to close: their streams last as long."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit and sig == signal.SIGINT:
            os._exit(128 + sig)  # a second ctrl-C does not wait for the models
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
