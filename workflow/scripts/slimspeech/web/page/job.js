"use strict";

const listen = () => {
  const stream = (job.stream = new EventSource(`api/jobs/${job.id}/events`));
  const on = (kind, show) => stream.addEventListener(kind, (event) => show(JSON.parse(event.data)));
  on("queue", ({ ahead }) => {
    setStatus(ahead === 0 ? "Next in the queue." : `In the queue: ${ahead} ${ahead === 1 ? "job" : "jobs"} before this one.`);
  });
  on("model", showModel);
  on("segment", showSegment);
  on("end", ended);
  stream.addEventListener("error", () => {
    if (job.over) return;
    if (stream.readyState === EventSource.CLOSED) {
      ended({ state: "failed", error: "The server forgot this job; send it again" });
    } else setStatus("Connection lost; reconnecting …");
  });
};

// What the server found missing in the audio.
const showWarnings = ({ name, warnings }) => {
  byId("warning").textContent = warnings.length ? `${name}: ${warnings.join("; ")}.` : "";
  byId("warning").hidden = !warnings.length;
};

// Sends the file; resolves to {status, answer}, and rejects without an answer.
const send = (file, ids) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not report upload progress
    const form = new FormData();
    for (const id of ids) form.append("models", id);
    form.append("file", file, file.name);
    request.open("POST", "api/jobs");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      const percent = Math.floor((100 * event.loaded) / event.total);
      setStatus(percent < 100 ? `Sending ${percent} %` : "Sent; waiting for the server …");
    });
    request.addEventListener("load", () => resolve({ status: request.status, answer: request.response }));
    for (const kind of ["error", "abort"]) request.addEventListener(kind, () => reject(new Error(kind)));
    job.abort = () => request.abort();
    request.send(form);
  });

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (byId("translate").disabled) return;
  showError("");
  const ids = [...document.querySelectorAll("#models input:checked")].map((box) => box.value);
  const requested = ids.map((id) => models.find((model) => model.id === id));
  const mixed = new Set(requested.map(({ target }) => target)).size > 1;
  if (job && job.url !== selected.url) URL.revokeObjectURL(job.url);
  showWarnings({ warnings: [] });
  rows = []; // rows of the last job must not play this job's speech
  byId("result").hidden = true;
  job = {
    id: null,
    over: false,
    url: selected.url,
    models: requested.map((model) => ({ ...model, label: mixed ? `${model.name}, ${model.target}` : model.name })),
  };
  byId("cancel").hidden = byId("progress").hidden = false;
  byId("progress").value = 0;
  refresh();
  try {
    const { status, answer } = await send(selected.file, ids);
    if (status !== 202) return ended({ state: "failed", error: answer?.detail ?? `The server answered ${status}` });
    Object.assign(job, { id: answer.id, seconds: answer.seconds });
    showWarnings(answer);
    showTables();
    listen();
  } catch {
    ended(
      job.cancelling
        ? { state: "cancelled" }
        : { state: "failed", error: "The server closed the connection. Is it still running?" },
    );
  }
});

byId("cancel").addEventListener("click", () => {
  job.cancelling = true;
  if (job.id) fetch(`api/jobs/${job.id}`, { method: "DELETE" });
  else job.abort();
});
