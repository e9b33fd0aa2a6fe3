"""What is asked of the models: one queue, one worker, each job with a log of events to follow.

All state belongs to the event loop's thread. Only the models' own work is done in another thread,
of which there is one, so that two jobs never share the processor or the GPU.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from slimspeech.errors import InputError

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping"
UNEXPECTED = "Something went wrong on the server; its terminal tells more"


class Spoken(Protocol):
    """A stretch of speech, in seconds from the beginning, and its translation."""

    start: float
    end: float
    text: str


class Translating(Protocol):
    """name: what messages call the file."""

    def translate(self, path: Path, name: str) -> Iterator[Spoken]: ...


class Loader(Protocol):
    """Where the worker takes models from, by id."""

    def is_loaded(self, model: str) -> bool: ...

    def load(self, model: str) -> Translating: ...


class QueueFull(Exception):
    """As many jobs wait already as may."""


@dataclass(frozen=True)
class Event:
    """kind: "model" (a model's state), "segment", "queue" (the place in it) or "end"."""

    kind: str
    data: dict[str, Any]


@dataclass(eq=False)
class Job:
    """One audio file and the models that are to translate it.

    name: the client's, for messages. state: "waiting", "running", "done", "failed", "cancelled".
    """

    name: str
    seconds: float
    models: tuple[str, ...]
    audio: Path
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "waiting"
    events: list[Event] = field(default_factory=list)
    streams: int = 0
    contacts: int = 0

    @property
    def over(self) -> bool:
        return self.state not in ("waiting", "running")


def summary(job: Job, ahead: int) -> dict[str, Any]:
    """A job as the API shows it, with the segments there are so far."""
    models: dict[str, dict[str, Any]] = {
        model: {"model": model, "state": "waiting", "segments": []} for model in job.models
    }
    end: dict[str, Any] = {}
    for event in job.events:
        if event.kind == "model":
            models[event.data["model"]] |= event.data
        elif event.kind == "segment":
            segment = {key: event.data[key] for key in ("start", "end", "text")}
            models[event.data["model"]]["segments"].append(segment)
        else:
            end = event.data
    return {
        "id": job.id,
        "name": job.name,
        "seconds": job.seconds,
        "state": job.state,
        "ahead": ahead,
        "error": end.get("error"),
        "models": list(models.values()),
    }


class JobQueue:
    """Runs jobs one after the other. Use as a context: `async with JobQueue(…) as queue`.

    capacity: how many may wait, uploads under way included. patience: seconds after which a job is
    dropped whose event stream the client closed and did not open again. keep, keep_seconds: how
    many finished jobs are remembered at most, and for how long.
    """

    def __init__(
        self,
        loader: Loader,
        capacity: int = 20,
        patience: float = 20.0,
        keep: int = 200,
        keep_seconds: float = 3600.0,
    ) -> None:
        self._loader, self._capacity = loader, capacity
        self._patience, self._keep, self._keep_seconds = patience, keep, keep_seconds
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._finished: deque[Job] = deque()
        self._running: Job | None = None
        self._reserved = 0
        self._closed = False
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="models")

    async def __aenter__(self) -> "JobQueue":
        self._work = asyncio.create_task(self._run_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        self._work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._work
        self._thread.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End every job, so that nobody's stream keeps the server from stopping."""
        self._closed = True
        for job in [*self._waiting, *([self._running] if self._running else [])]:
            self._end(job, "cancelled", STOPPING)
        self._waiting.clear()

    @contextlib.contextmanager
    def place(self) -> Iterator[Callable[[Job], None]]:
        """A place in the queue, held while an upload comes in; yields what puts a job there.

        Raises QueueFull.
        """
        if self._closed or len(self._waiting) + self._reserved >= self._capacity:
            raise QueueFull
        self._reserved += 1
        try:
            yield self._add
        finally:
            self._reserved -= 1

    def find(self, identity: str) -> Job | None:
        """A job that waits, runs or ended not long ago. Asking counts as a sign of life."""
        job = self._jobs.get(identity)
        if job:
            job.contacts += 1
        return job

    def ahead(self, job: Job) -> int:
        """How many jobs are before this one."""
        if job not in self._waiting:
            return 0
        return self._waiting.index(job) + (self._running is not None)

    def cancel(self, job: Job, reason: str = "Cancelled") -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            job.audio.unlink(missing_ok=True)
        self._end(job, "cancelled", reason)

    async def follow(self, job: Job, start: int = 0) -> AsyncIterator[tuple[int | None, Event]]:
        """The job's events from number `start` on, as they come, up to its end.

        The place in the queue comes too, without a number: it is of no use later.
        """
        job.streams += 1
        job.contacts += 1
        ahead = None
        try:
            while True:
                changed = self._changed
                while start < len(job.events):
                    yield start, job.events[start]
                    start += 1
                if job.over:
                    return
                if job.state == "waiting" and ahead != self.ahead(job):
                    ahead = self.ahead(job)
                    yield None, Event("queue", {"ahead": ahead})
                await changed.wait()
        finally:
            job.streams -= 1
            if not job.streams and not job.over and not self._closed:
                asyncio.get_running_loop().call_later(
                    self._patience, self._drop_if_left, job, job.contacts
                )

    def _drop_if_left(self, job: Job, contacts: int) -> None:
        if not job.over and not job.streams and job.contacts == contacts:
            self.cancel(job, "Cancelled, since the page that asked for it was closed")

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        if self._closed:  # while it was uploaded
            job.audio.unlink(missing_ok=True)
            self._end(job, "cancelled", STOPPING)
            return
        self._waiting.append(job)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _log(self, job: Job, kind: str, **data: Any) -> None:
        if not job.over:
            job.events.append(Event(kind, data))
            self._tell()

    def _end(self, job: Job, state: str, error: str | None = None) -> None:
        if job.over:
            return
        self._log(job, "end", state=state, error=error)
        job.state = state
        self._finished.append(job)
        if len(self._finished) > self._keep:
            self._forget(self._finished[0])
        asyncio.get_running_loop().call_later(self._keep_seconds, self._forget, job)
        self._tell()

    def _forget(self, job: Job) -> None:
        if self._jobs.pop(job.id, None):
            self._finished.remove(job)

    async def _run_all(self) -> None:
        while True:
            while not self._waiting:
                await self._changed.wait()
            job = self._running = self._waiting.popleft()
            job.state = "running"
            self._tell()
            try:
                await self._run(job)
            finally:
                self._running = None
                job.audio.unlink(missing_ok=True)

    async def _run(self, job: Job) -> None:
        errors = []
        for model in job.models:
            if job.over:
                return
            try:
                await self._run_model(job, model)
            except InputError as error:
                errors.append(str(error))
            except Exception:
                logger.exception("%s failed", model)
                errors.append(UNEXPECTED)
            else:
                continue
            self._log(job, "model", model=model, state="failed", error=errors[-1])
        failed = len(errors) == len(job.models)
        self._end(job, "failed" if failed else "done", errors[0] if failed else None)
        logger.info("%s: %.1f s of speech, %s", job.state, job.seconds, ", ".join(job.models))

    async def _run_model(self, job: Job, model: str) -> None:
        if not self._loader.is_loaded(model):
            self._log(job, "model", model=model, state="loading")
        translator = await self._in_thread(self._loader.load, model)
        self._log(job, "model", model=model, state="translating")
        seconds = 0.0
        utterances = translator.translate(job.audio, job.name)
        while not job.over:
            utterance, took = await self._in_thread(_timed_next, utterances)
            seconds += took
            if utterance is None:
                break
            self._log(
                job,
                "segment",
                model=model,
                start=utterance.start,
                end=utterance.end,
                text=utterance.text,
            )
        factor = seconds / job.seconds
        self._log(job, "model", model=model, state="done", seconds=seconds, real_time_factor=factor)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _timed_next(utterances: Iterator[Spoken]) -> tuple[Spoken | None, float]:
    start = time.perf_counter()
    return next(utterances, None), time.perf_counter() - start
