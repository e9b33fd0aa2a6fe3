"""The page and its HTTP API (docs/serve.md)."""

import contextlib
import io
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

from slimspeech.assets import ASSETS
from slimspeech.longform.subtitles import FORMATS, Layout, Utterance, Writer
from slimspeech.web.guard import Guard
from slimspeech.web.jobs import Job, JobQueue, Loader, QueueFull, summary
from slimspeech.web.models import ServedModel
from slimspeech.web.uploads import Limits, Upload, receive_upload

PAGE = Path(__file__).parent / "page"
# The files of the page, by their names in its requests. The report shares style and elements.
FILES = {
    "style.css": ASSETS / "style.css",
    "elements.js": ASSETS / "elements.js",
    "diff.js": ASSETS / "vendor" / "diff-9.0.0.min.js",
    "serve.css": PAGE / "serve.css",
    **{name: PAGE / name for name in ("sound.js", "choosing.js", "translations.js", "job.js")},
}
RETRY_SECONDS = 10


@dataclass(frozen=True)
class Settings:
    """limits: of an upload. capacity: of the queue. names: host names besides localhost."""

    limits: Limits
    capacity: int = 20
    names: tuple[str, ...] = ()


def create_app(models: Iterable[ServedModel], loader: Loader, settings: Settings) -> FastAPI:
    """The application that serves `models`, which `loader` loads by their ids."""
    served = {model.id: model for model in models}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with tempfile.TemporaryDirectory(prefix="slimspeech-serve-") as folder:
            async with JobQueue(loader, settings.capacity) as queue:
                app.state.queue, app.state.folder = queue, Path(folder)
                yield

    # FastAPI's pages of documentation would load scripts from other servers.
    app = FastAPI(lifespan=lifespan, openapi_url=None)
    app.add_middleware(Guard, names=settings.names)

    @app.get("/")
    async def index() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/page/{name}")
    async def file(name: str) -> FileResponse:
        if name not in FILES:
            raise HTTPException(404, "There is no such file")
        return FileResponse(FILES[name], headers={"Cache-Control": "no-cache"})

    @app.get("/api/models")
    async def get_models() -> dict[str, Any]:
        public = [
            model.public() | {"loaded": loader.is_loaded(model.id)} for model in served.values()
        ]
        return {"models": public, "limits": asdict(settings.limits)}

    @app.post("/api/jobs", status_code=202)
    async def submit(request: Request, response: Response) -> dict[str, Any]:
        queue: JobQueue = app.state.queue
        path = app.state.folder / secrets.token_hex(16)
        try:
            with queue.reserve() as add:
                try:
                    upload = await receive_upload(request, path, settings.limits)
                    models = _requested(upload, served)
                    job = Job(upload.name, upload.seconds, models, path, upload.warnings)
                    add(job)
                except BaseException:
                    path.unlink(missing_ok=True)
                    raise
        except QueueFull:
            raise HTTPException(
                503,
                "The server is busy: the queue is full. Try again later",
                headers={"Retry-After": str(RETRY_SECONDS)},
            ) from None
        response.headers["Location"] = f"api/jobs/{job.id}"
        return summary(job, queue.ahead(job))

    def find(identity: str) -> Job:
        job = app.state.queue.find(identity)
        if job is None:
            raise HTTPException(404, "There is no such job; the server forgets finished jobs")
        return job

    FoundJob = Annotated[Job, Depends(find)]

    @app.get("/api/jobs/{identity}")
    async def get_job(job: FoundJob) -> dict[str, Any]:
        return summary(job, app.state.queue.ahead(job))

    @app.delete("/api/jobs/{identity}", status_code=204)
    async def cancel(job: FoundJob) -> None:
        app.state.queue.cancel(job)

    @app.get("/api/jobs/{identity}/events", response_class=EventSourceResponse)
    async def events(
        job: FoundJob, last_event_id: Annotated[int, Header(ge=-1)] = -1
    ) -> AsyncIterator[ServerSentEvent]:
        async with contextlib.aclosing(app.state.queue.follow(job, last_event_id + 1)) as stream:
            async for number, event in stream:
                identity = None if number is None else str(number)
                yield ServerSentEvent(event=event.kind, data=event.data, id=identity)

    @app.get("/api/jobs/{identity}/{model}.{form}")
    async def download(job: FoundJob, model: str, form: str) -> Response:
        translations = {part["model"]: part for part in summary(job, 0)["models"]}
        if model not in translations or form not in FORMATS:
            raise HTTPException(404, "There is no such translation")
        if translations[model]["state"] != "done":
            raise HTTPException(409, "This translation is not finished")
        name = quote(f"{Path(job.name).stem}.{model}.{form}", safe="")
        return Response(
            _written(translations[model]["segments"], form, served[model]),
            media_type="text/plain",
            headers={"Content-Disposition": f"attachment; filename*=UTF-8''{name}"},
        )

    return app


def _requested(upload: Upload, served: dict[str, ServedModel]) -> tuple[str, ...]:
    """The models of a form, without duplicates. Raises HTTPException for none or an unknown one."""
    models = tuple(dict.fromkeys(upload.models))
    if not models:
        raise HTTPException(400, f"Name models to translate with: {', '.join(served)}")
    for model in models:
        if model not in served:
            raise HTTPException(422, f"{model[:100]!r} is not served; models: {', '.join(served)}")
    return models


def _written(segments: list[dict[str, Any]], form: str, model: ServedModel) -> str:
    """The segments as a file of one of subtitles.FORMATS."""
    text = io.StringIO()
    writer = Writer(form, text, Layout.of(model.target), f"{model.source}-{model.target}")
    for segment in segments:
        writer.add(Utterance(**segment))
    writer.finish()
    return text.getvalue()
