"""The API of the web page, with models without weights."""

import asyncio
import json

import httpx2
import numpy as np
import pytest
import soundfile
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from serving import FakeModels, served, wav_bytes

from slimspeech.web import app as web_app
from slimspeech.web import uploads
from slimspeech.web.app import Settings, create_app
from slimspeech.web.uploads import Limits, receive_upload

LIMITS = Limits(bytes=500_000, seconds=10)
OWN = "http://localhost:7860"


@pytest.fixture
def models() -> FakeModels:
    models = FakeModels()
    models.go.set()
    return models


@pytest.fixture
def client(models):
    settings = Settings(LIMITS, capacity=2, names=("talks.example",))
    app = create_app(served("en-de-A", "en-zh-B"), models, settings)
    with TestClient(app, base_url=OWN) as client:
        yield client
        models.go.set()


def post(client, content=None, name="talk.wav", models=("en-de-A",), **options) -> httpx2.Response:
    content = wav_bytes(16_000) if content is None else content
    data = {"models": list(models)}
    return client.post("/api/jobs", data=data, files={"file": (name, content)}, **options)


def finished(client, answer: httpx2.Response) -> dict:
    """The finished job."""
    assert answer.status_code == 202, answer.text
    job = f"/api/jobs/{answer.json()['id']}"
    client.get(f"{job}/events")
    return client.get(job).json()


def test_a_file_is_translated_by_the_requested_models(client, models):
    answer = post(client, models=["en-zh-B", "en-de-A", "en-de-A"])
    assert answer.headers["location"] == f"api/jobs/{answer.json()['id']}"
    job = finished(client, answer)
    assert (job["state"], job["seconds"], job["name"]) == ("done", 1.0, "talk.wav")
    assert [(m["model"], m["state"]) for m in job["models"]] == [
        ("en-zh-B", "done"),
        ("en-de-A", "done"),
    ]
    assert job["models"][1]["segments"] == [
        {"start": 0.0, "end": 0.5, "text": "en-de-A length 16000"},
        {"start": 0.5, "end": 1.0, "text": "and talk.wav"},
    ]
    assert list(client.app.state.folder.iterdir()) == []


def test_events_are_numbered_and_can_be_resumed(client):
    answer = post(client)
    url = f"/api/jobs/{answer.json()['id']}/events"
    stream = client.get(url)
    assert stream.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in stream.text.strip().split("\n\n")]
    events = [dict(line.split(": ", 1) for line in block) for block in blocks]
    numbered = [event for event in events if "id" in event]
    assert [int(event["id"]) for event in numbered] == list(range(6))
    assert json.loads(numbered[-1]["data"]) == {"state": "done", "error": None}
    rest = client.get(url, headers={"Last-Event-ID": "3"}).text
    assert [line for line in rest.split("\n") if line.startswith("id")] == ["id: 4", "id: 5"]


@pytest.mark.parametrize(
    "kind, beginning",
    [
        ("srt", "1\n00:00:00,000 --> 00:00:00,500\nen-de-A length 16000\n\n2\n"),
        ("vtt", "WEBVTT\n\n1\n00:00:00.000 --> 00:00:00.500\nen-de-A length 16000\n"),
        ("txt", "en-de-A length 16000\nand "),
    ],
)
def test_translations_are_downloaded(client, kind, beginning):
    job = finished(client, post(client, name="Vortrag für alle.wav"))
    answer = client.get(f"/api/jobs/{job['id']}/en-de-A.{kind}")
    assert answer.text.startswith(beginning)
    assert answer.headers["content-disposition"] == (
        f"attachment; filename*=UTF-8''Vortrag%20f%C3%BCr%20alle.en-de-A.{kind}"
    )
    for wrong in ("en-de-A.exe", "en-zh-B.srt", "nobody.srt"):
        assert client.get(f"/api/jobs/{job['id']}/{wrong}").status_code == 404


def test_an_unfinished_translation_is_not_downloaded(client, models):
    models.go.clear()
    job = post(client).json()
    assert client.get(f"/api/jobs/{job['id']}/en-de-A.srt").status_code == 409
    models.go.set()


@pytest.mark.parametrize(
    "content, name, message",
    [
        (b"no audio at all", "notes.wav", "notes.wav: not audio"),
        (b"", "empty.wav", "empty.wav: the file has 0 bytes"),
        (b"text", "../../etc/passwd", "passwd: not audio"),
        (b"text", "C:\\talks\\a\u202eb.wav", "ab.wav: not audio"),
        (b"text", "n" * 300, "n" * 100 + ": not audio"),
    ],
)
def test_a_file_that_is_not_audio_gets_a_message(client, content, name, message):
    answer = post(client, content, name)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(message)
    assert str(client.app.state.folder) not in answer.text
    assert list(client.app.state.folder.iterdir()) == []


@pytest.mark.parametrize(
    "form", [("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16")]
)
def test_audio_is_recognised_by_its_content(client, form, tmp_path):
    path = tmp_path / "file"
    noise = np.random.default_rng(0).normal(size=16_000) / 10
    soundfile.write(path, noise, 16_000, format=form[0], subtype=form[1])
    job = finished(client, post(client, path.read_bytes(), "misnamed.raw"))
    assert job["state"] == "done" and job["seconds"] == pytest.approx(1, abs=0.1)


def test_what_is_missing_from_the_audio_is_told(client):
    job = finished(client, post(client, wav_bytes(16_000)[:9044], "half.wav"))
    assert job["state"] == "done" and job["seconds"] == 4500 / 16_000
    assert "promises 16000 samples (1.00 s)" in job["warnings"][0]
    assert finished(client, post(client))["warnings"] == []


def test_audio_of_unknown_length_has_its_real_length(client):
    content = bytearray(wav_bytes(16_000))
    content[40:44] = b"\xff\xff\xff\xff"
    job = finished(client, post(client, bytes(content)))
    assert job["seconds"] == 1.0 and job["warnings"] == []


def test_an_upload_over_a_limit_is_refused(client):
    large = post(client, b"x" * (LIMITS.bytes + 1))
    assert large.status_code == 413 and "0.5 MB" in large.json()["detail"]
    announced = client.post("/api/jobs", content=b"", headers={"Content-Length": "10000000"})
    assert announced.status_code == 413
    long = post(client, wav_bytes(16_000 * 11))
    assert long.status_code == 413
    assert "talk.wav: is longer than the limit, 0.167 min" in long.json()["detail"]
    assert list(client.app.state.folder.iterdir()) == []


def request_of(chunks, wait: float = 0) -> tuple[Request, list[int]]:
    """A request that sends a form in chunks, and the numbers of the chunks that were received."""
    received = []

    async def receive():
        await asyncio.sleep(wait)
        number = len(received)
        received.append(number)
        return {
            "type": "http.request",
            "body": chunks[number],
            "more_body": number + 1 < len(chunks),
        }

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive), received


HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def test_an_upload_is_stopped_while_it_arrives(tmp_path):
    request, received = request_of([HEAD] + [b"x" * 100_000] * 1000)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(receive_upload(request, tmp_path / "a", LIMITS))
    assert refused.value.status_code == 413
    assert len(received) == 7
    assert not (tmp_path / "a").exists()


def test_an_upload_that_stalls_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "STALLED_SECONDS", 0.01)
    request, _ = request_of([HEAD] * 2, wait=5)
    with pytest.raises(HTTPException) as refused:
        asyncio.run(receive_upload(request, tmp_path / "a", LIMITS))
    assert refused.value.status_code == 408


def test_an_incomplete_form_is_refused(client):
    assert "en-de-A, en-zh-B" in post(client, models=[]).json()["detail"]
    unknown = post(client, models=["en-de-A", "../secret"])
    assert unknown.status_code == 422
    assert "'../secret' is not served" in unknown.json()["detail"]
    assert client.post("/api/jobs", data={"models": "en-de-A"}).status_code == 400
    text = client.post("/api/jobs", data={"models": "en-de-A", "file": "/etc/passwd"})
    assert "no audio file" in text.json()["detail"]
    files = [("file", ("a.wav", wav_bytes(16))), ("file", ("b.wav", wav_bytes(16)))]
    two = client.post("/api/jobs", data={"models": "en-de-A"}, files=files)
    assert two.status_code == 400
    broken = client.post(
        "/api/jobs", content=b"?", headers={"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert broken.status_code == 400
    assert list(client.app.state.folder.iterdir()) == []


def test_a_full_queue_refuses_jobs_until_one_ends(client, models):
    models.go.clear()
    jobs = [post(client).json()]
    while client.get(f"/api/jobs/{jobs[0]['id']}").json()["state"] != "running":
        pass
    jobs += [post(client).json() for _ in range(2)]
    assert [job["ahead"] for job in jobs] == [0, 1, 2]
    busy = post(client)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, str(web_app.RETRY_SECONDS))
    assert client.delete(f"/api/jobs/{jobs[1]['id']}").status_code == 204
    assert client.get(f"/api/jobs/{jobs[2]['id']}").json()["ahead"] == 1
    assert post(client).status_code == 202
    models.go.set()


def test_an_unknown_job_is_not_found(client):
    for answer in (
        client.get("/api/jobs/x"),
        client.get("/api/jobs/x/events"),
        client.delete("/api/jobs/x"),
        client.get("/api/jobs/x/en-de-A.srt"),
    ):
        assert answer.status_code == 404
        assert "no such job" in answer.json()["detail"]


def test_models_are_listed_without_their_directories(client):
    answer = client.get("/api/models")
    assert [model["id"] for model in answer.json()["models"]] == ["en-de-A", "en-zh-B"]
    assert answer.json()["limits"] == {"bytes": 500_000, "seconds": 10}
    assert "/secret" not in answer.text


def test_only_the_files_of_the_page_are_served(client):
    index = client.get("/").text
    for name in web_app.FILES:
        assert f"page/{name}" in index
        assert client.get(f"/page/{name}").status_code == 200
    for path in ("/page/app.py", "/page/..%2fapp.py", "/page/%2e%2e/app.py", "/docs", "/redoc"):
        assert client.get(path).status_code == 404
    assert client.get("/openapi.json").status_code == 404


def test_every_answer_has_the_security_headers(client):
    for path in ("/", "/page/job.js", "/api/models", "/api/jobs/x", "/nowhere"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host, status",
    [
        ("localhost:7860", 200),
        ("127.0.0.1:7860", 200),
        ("[::1]:7860", 200),
        ("192.168.1.7", 200),
        ("Talks.Example:7860", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
def test_host_names_of_other_sites_are_refused(client, host, status):
    assert client.get("/api/models", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 202),
        ({"Origin": OWN}, 202),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, 202),
        ({"Origin": "http://localhost:9999"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": OWN, "Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_pages_of_other_sites_cannot_post(client, headers, status):
    assert post(client, headers=headers).status_code == status
