"""The queue of the web page, without HTTP."""

import asyncio

import pytest
from serving import FakeModels, wav_bytes

from slimspeech.errors import InputError
from slimspeech.web.jobs import STOPPING, UNEXPECTED, Job, JobQueue, QueueFull, summary


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def make_job(tmp_path):
    def make(name: str, models=("en-de-A",), samples: int = 16_000) -> Job:
        path = tmp_path / name
        path.write_bytes(wav_bytes(samples))
        return Job(name, samples / 16_000, tuple(models), path)

    return make


def put(queue: JobQueue, job: Job) -> Job:
    with queue.reserve() as add:
        add(job)
    return job


async def kinds(queue: JobQueue, job: Job, start: int = 0) -> list[str]:
    return [event.kind async for _, event in queue.follow(job, start)]


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def test_a_job_is_followed_from_the_queue_to_its_end(models, make_job):
    async def run():
        models.go.set()
        async with JobQueue(models) as queue:
            job = put(queue, make_job("a", ["en-de-A", "en-de-B"]))
            events = [event async for _, event in queue.follow(job)]
            assert [event.kind for event in events] == (
                ["queue", *["model", "model", "segment", "segment", "model"] * 2, "end"]
            )
            states = [e.data["state"] for e in events if e.kind == "model"]
            assert states == ["loading", "translating", "done"] * 2
            models_summary = summary(job, 0)["models"]
            assert [m["segments"][0]["text"] for m in models_summary] == [
                "en-de-A length 16000",
                "en-de-B length 16000",
            ]
            for model in models_summary:
                assert model["real_time_factor"] == model["seconds"] / 1.0
            # A client can skip events, and a loaded model is not loaded again.
            assert await kinds(queue, job, start=9) == ["model", "end"]
            again = put(queue, make_job("b"))
            assert [e.data.get("state") async for _, e in queue.follow(again)].count("loading") == 0

    asyncio.run(run())


def test_jobs_run_in_order_and_know_their_position(models, make_job, tmp_path):
    async def run():
        async with JobQueue(models) as queue:
            jobs = [put(queue, make_job(name)) for name in "abc"]
            await until(lambda: jobs[0].state == "running")
            assert [queue.ahead(job) for job in jobs] == [0, 1, 2]
            queue.cancel(jobs[1])
            assert [queue.ahead(job) for job in jobs] == [0, 0, 1]
            assert not (tmp_path / "b").exists()
            models.go.set()
            assert (await kinds(queue, jobs[2]))[-1] == "end"
        assert [job.state for job in jobs] == ["done", "cancelled", "done"]
        assert models.requests == [("en-de-A", "a"), ("en-de-A", "c")]
        assert list(tmp_path.iterdir()) == []

    asyncio.run(run())


def test_the_next_job_runs_after_a_running_job_is_cancelled(models, make_job):
    async def run():
        async with JobQueue(models) as queue:
            first, second = (put(queue, make_job(name, ["en-de-A", "en-de-B"])) for name in "ab")
            await until(lambda: first.events and first.events[-1].kind == "segment")
            queue.cancel(first)
            models.go.set()
            await kinds(queue, second)
        assert (first.state, second.state) == ("cancelled", "done")
        assert [name for _, name in models.requests] == ["a", "b", "b"]
        assert summary(first, 0)["error"] == "Cancelled"

    asyncio.run(run())


def test_the_queue_has_a_capacity_which_includes_uploads(models, make_job):
    async def run():
        async with JobQueue(models, capacity=2) as queue:
            running = put(queue, make_job("a"))
            await until(lambda: running.state == "running")
            put(queue, make_job("b"))
            with queue.reserve(), pytest.raises(QueueFull), queue.reserve():
                pass
            with queue.reserve():  # the failed upload released its place
                pass
            models.go.set()

    asyncio.run(run())


def test_a_job_is_cancelled_after_its_page_was_closed(models, make_job):
    async def run():
        async with JobQueue(models, patience=0.05) as queue:
            running, left, polled = (put(queue, make_job(name)) for name in "abc")
            await until(lambda: running.state == "running")
            for job in (left, polled):
                stream = queue.follow(job)
                assert (await anext(stream))[1].kind == "queue"
                await stream.aclose()
            assert queue.find(polled.id) is polled  # counts as a contact
            await until(lambda: left.over)
            await asyncio.sleep(0.1)
            assert (left.state, polled.state) == ("cancelled", "waiting")
            models.go.set()

    asyncio.run(run())


def test_a_page_that_reconnects_in_time_keeps_its_job(models, make_job):
    async def run():
        async with JobQueue(models, patience=0.05) as queue:
            job = put(queue, make_job("a"))
            stream = queue.follow(job)
            await anext(stream)
            await stream.aclose()
            again = asyncio.create_task(kinds(queue, job))
            await asyncio.sleep(0.15)
            models.go.set()
            assert (await again)[-1] == "end"
            assert job.state == "done"

    asyncio.run(run())


def test_a_model_that_fails_does_not_stop_the_others(models, make_job, caplog):
    models.errors = {
        "en-de-A": InputError("talk.wav: damaged"),
        "en-de-B": RuntimeError("secret of the server"),
    }
    models.go.set()

    async def run():
        async with JobQueue(models) as queue:
            some = put(queue, make_job("a", ["en-de-A", "en-de-B", "en-de-C"]))
            none = put(queue, make_job("b", ["en-de-A", "en-de-B"]))
            await kinds(queue, none)
            return summary(some, 0), summary(none, 0)

    some, none = asyncio.run(run())
    assert (some["state"], some["error"]) == ("done", None)
    assert [(m["state"], m.get("error")) for m in some["models"]] == [
        ("failed", "talk.wav: damaged"),
        ("failed", UNEXPECTED),
        ("done", None),
    ]
    assert (none["state"], none["error"]) == ("failed", "talk.wav: damaged")
    assert "secret of the server" in caplog.text


def test_finished_jobs_are_forgotten(models, make_job):
    models.go.set()

    async def run():
        async with JobQueue(models, keep=2, keep_seconds=0.2) as queue:
            jobs = [put(queue, make_job(name)) for name in "abc"]
            await kinds(queue, jobs[-1])
            assert [queue.find(job.id) for job in jobs] == [None, *jobs[1:]]
            await until(lambda: queue.find(jobs[-1].id) is None)

    asyncio.run(run())


def test_stopping_the_server_ends_every_stream(models, make_job):
    async def run():
        async with JobQueue(models) as queue:
            jobs = [put(queue, make_job(name)) for name in "ab"]
            streams = [asyncio.create_task(kinds(queue, job)) for job in jobs]
            await until(lambda: jobs[0].state == "running")
            queue.close()
            assert [(await stream)[-1] for stream in streams] == ["end", "end"]
            with pytest.raises(QueueFull), queue.reserve():
                pass
            models.go.set()
        assert {summary(job, 0)["error"] for job in jobs} == {STOPPING}

    asyncio.run(run())
