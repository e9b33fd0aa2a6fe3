"""The jobs of the server: one queue, one worker, and events that clients can follow.

The thread of the event loop owns all state. Only the models run in another thread; there is one
such thread, so two jobs never share the CPU or the GPU.
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
from slimspeech.longform.subtitles import Utterance

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping"
UNEXPECTED = "Something went wrong on the server; see its terminal"


class LoadedModel(Protocol):
    """name: of the file in messages."""

    def translate(self, path: Path, name: str) -> Iterator[Utterance]: ...


class Loader(Protocol):
    """Loads models by id."""

    def is_loaded(self, model: str) -> bool: ...

    def load(self, model: str) -> LoadedModel: ...


class QueueFull(Exception):
    """The queue has no free place."""


@dataclass(frozen=True)
class Event:
    """kind: "model" (a model's state), "segment", "queue" (the jobs ahead) or "end"."""

    kind: str
    data: dict[str, Any]


@dataclass(eq=False)
class Job:
    """One audio file, to be translated by one or several models.

    name: the client's, for messages. warnings: what the audio lacks. state: "waiting", "running",
    "done", "failed", "cancelled". streams: open event streams. contacts: requests of clients so
    far.
    """

    name: str
    seconds: float
    models: tuple[str, ...]
    audio: Path
    warnings: tuple[str, ...] = ()
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "waiting"
    events: list[Event] = field(default_factory=list)
    streams: int = 0
    contacts: int = 0

    @property
    def over(self) -> bool:
        return self.state not in ("waiting", "running")


def summary(job: Job, ahead: int) -> dict[str, Any]:
    """A job as the API shows it, with its segments so far."""
    models: dict[str, dict[str, Any]] = {
        model: {"model": model, "state": "waiting", "segments": []} for model in job.models
    }
    error = None
    for event in job.events:
        data = dict(event.data)
        if event.kind == "model":
            models[data["model"]] |= data
        elif event.kind == "segment":
            models[data.pop("model")]["segments"].append(data)
        else:
            error = data["error"]
    return {
        "id": job.id,
        "name": job.name,
        "seconds": job.seconds,
        "warnings": list(job.warnings),
        "state": job.state,
        "ahead": ahead,
        "error": error,
        "models": list(models.values()),
    }


class JobQueue:
    """Runs jobs one after the other. Use it as a context: `async with JobQueue(…) as queue`.

    capacity: of the queue, current uploads included. patience: seconds after which a job is
    cancelled whose client closed the event stream and did not return. keep, keep_seconds: how many
    finished jobs are kept, and for how long.
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
        self._worker = asyncio.create_task(self._run_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
        self._worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._worker
        self._thread.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """End every job, so that no event stream keeps the server running."""
        self._closed = True
        for job in list(self._jobs.values()):
            self._end(job, "cancelled", STOPPING)
        self._waiting.clear()

    @contextlib.contextmanager
    def reserve(self) -> Iterator[Callable[[Job], None]]:
        """Keep a place in the queue during an upload; yields the function that adds the job.

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
        """A waiting, running or finished job; None after it was forgotten. Counts as a contact."""
        job = self._jobs.get(identity)
        if job:
            job.contacts += 1
        return job

    def ahead(self, job: Job) -> int:
        """The number of jobs before this one."""
        if job not in self._waiting:
            return 0
        return self._waiting.index(job) + (self._running is not None)

    def cancel(self, job: Job, reason: str = "Cancelled") -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            job.audio.unlink(missing_ok=True)
        self._end(job, "cancelled", reason)

    async def follow(self, job: Job, start: int = 0) -> AsyncIterator[tuple[int | None, Event]]:
        """The numbered events of the job from number `start`, as they happen, until its end.

        Events of the position in the queue have no number, because a client that reconnects gets
        the current position.
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
                    self._patience, self._cancel_if_left, job, job.contacts
                )

    def _cancel_if_left(self, job: Job, contacts: int) -> None:
        if not job.over and not job.streams and job.contacts == contacts:
            self.cancel(job, "Cancelled, because the client closed the page")

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        if self._closed:  # during the upload
            self._end(job, "cancelled", STOPPING)
            return
        self._waiting.append(job)
        self._notify()

    def _notify(self) -> None:
        """Wake the worker and every event stream."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _record(self, job: Job, kind: str, **data: Any) -> None:
        if not job.over:
            job.events.append(Event(kind, data))
            self._notify()

    def _end(self, job: Job, state: str, error: str | None = None) -> None:
        if job.over:
            return
        self._record(job, "end", state=state, error=error)
        job.state = state
        self._finished.append(job)
        if len(self._finished) > self._keep:
            self._forget(self._finished[0])
        asyncio.get_running_loop().call_later(self._keep_seconds, self._forget, job)

    def _forget(self, job: Job) -> None:
        if self._jobs.pop(job.id, None):
            self._finished.remove(job)

    async def _run_all(self) -> None:
        while True:
            while not self._waiting:
                await self._changed.wait()
            job = self._running = self._waiting.popleft()
            job.state = "running"
            self._notify()
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
                continue
            except InputError as error:
                errors.append(str(error))
            except Exception:
                logger.exception("%s failed", model)
                errors.append(UNEXPECTED)
            self._record(job, "model", model=model, state="failed", error=errors[-1])
        failed = len(errors) == len(job.models)
        self._end(job, "failed" if failed else "done", errors[0] if failed else None)
        logger.info("%s: %.1f s of speech, %s", job.state, job.seconds, ", ".join(job.models))

    async def _run_model(self, job: Job, model: str) -> None:
        def record(state: str, **data: Any) -> None:
            self._record(job, "model", model=model, state=state, **data)

        if not self._loader.is_loaded(model):
            record("loading")
        loaded = await self._in_thread(self._loader.load, model)
        record("translating")
        seconds = 0.0
        utterances = loaded.translate(job.audio, job.name)
        while not job.over:
            utterance, duration = await self._in_thread(_timed_next, utterances)
            seconds += duration
            if utterance is None:
                break
            times = {"start": utterance.start, "end": utterance.end}
            self._record(job, "segment", model=model, **times, text=utterance.text)
        record("done", seconds=seconds, real_time_factor=seconds / job.seconds)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def _timed_next(utterances: Iterator[Utterance]) -> tuple[Utterance | None, float]:
    start = time.perf_counter()
    return next(utterances, None), time.perf_counter() - start
