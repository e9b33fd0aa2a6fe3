"""Receives an uploaded file: limits it while it arrives, checks it before it joins the queue."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from slimspeech.data.audio import measure
from slimspeech.errors import InputError

STALLED_SECONDS = 30
LONGEST_NAME = 100
# Size of a form without the file: boundaries, headers, names of models.
FORM_BYTES = 100_000
MOST_FIELDS, FIELD_BYTES = 100, 1000


@dataclass(frozen=True)
class Limits:
    """Of one upload: size of the file in bytes, and length of its audio in seconds."""

    bytes: int
    seconds: float


@dataclass(frozen=True)
class Upload:
    """name: the client's, which is shown but never opened. warnings: what the audio lacks."""

    name: str
    seconds: float
    models: tuple[str, ...]
    warnings: tuple[str, ...]


async def receive_upload(request: Request, path: Path, limits: Limits) -> Upload:
    """Read a form with a `file` and `models`, and write the file to `path`.

    Raises HTTPException: 400 for an invalid form, 408 for an upload that stalls, 413 for a file
    that exceeds a limit, 422 for a file that is not audio.
    """
    too_large = HTTPException(413, f"The file is larger than the limit, {limits.bytes / 1e6:g} MB")
    allowed = limits.bytes + FORM_BYTES
    if int(request.headers.get("content-length", 0)) > allowed:
        raise too_large
    bounded = Request(request.scope, _bounded(request.receive, allowed, too_large))
    try:
        async with bounded.form(
            max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELD_BYTES
        ) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise HTTPException(400, "The form has no audio file in its field `file`")
            if (file.size or 0) > limits.bytes:
                raise too_large
            name = _display_name(file.filename)
            await run_in_threadpool(_copy, file, path)
            models = tuple(str(model) for model in form.getlist("models"))
    except ClientDisconnect:
        raise HTTPException(400, "The upload was interrupted") from None
    try:
        audio = await run_in_threadpool(measure, path, name, limits.seconds)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
    if audio.seconds > limits.seconds:
        limit = f"{limits.seconds / 60:.3g} min"
        raise HTTPException(413, f"{name}: is longer than the limit, {limit}; cut it into parts")
    return Upload(name, audio.seconds, models, audio.problems)


def _bounded(receive: Receive, allowed: int, too_large: HTTPException) -> Receive:
    """Receives a body of at most `allowed` bytes from a client that does not stall."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        try:
            message = await asyncio.wait_for(receive(), STALLED_SECONDS)
        except TimeoutError:
            raise HTTPException(408, "The upload stalled") from None
        received += len(message.get("body", b""))
        if received > allowed:
            raise too_large
        return message

    return receive_bounded


def _display_name(name: str | None) -> str:
    """A client's file name, without folders and unprintable characters."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[:LONGEST_NAME].strip() or "audio"


def _copy(file: UploadFile, path: Path) -> None:
    with path.open("xb") as copy:
        shutil.copyfileobj(file.file, copy)
