"use strict";

const listen = () => {
  const stream = (job.stream = new EventSource(`api/jobs/${job.id}/events`));
  const on = (kind, show) => stream.addEventListener(kind, (event) => show(JSON.parse(event.data)));
  on("queue", ({ ahead }) => {
    say(ahead === 0 ? "Next in the queue." : `In the queue: ${ahead} ${ahead === 1 ? "job" : "jobs"} before this one.`);
  });
  on("model", showModel);
  on("segment", showSegment);
  on("end", ended);
  stream.addEventListener("error", () => {
    if (job.over) return;
    if (stream.readyState === EventSource.CLOSED) {
      ended({ state: "failed", error: "The server no longer knows of this job; send it again" });
    } else say("The connection is lost; trying again …");
  });
};

// Sends the file; gives {status, answer}, or throws where no answer came.
const send = (file, ids) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how much was sent
    const form = new FormData();
    for (const id of ids) form.append("models", id);
    form.append("file", file, file.name);
    request.open("POST", "api/jobs");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      const percent = Math.floor((100 * event.loaded) / event.total);
      say(percent < 100 ? `Sending ${percent} %` : "Sent; the server reads it …");
    });
    request.addEventListener("load", () => resolve({ status: request.status, answer: request.response }));
    for (const kind of ["error", "abort"]) request.addEventListener(kind, () => reject(new Error(kind)));
    job.abort = () => request.abort();
    request.send(form);
  });

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (byId("translate").disabled) return;
  complain("");
  const ids = [...document.querySelectorAll("#models input:checked")].map((box) => box.value);
  const picked = ids.map((id) => models.find((model) => model.id === id));
  const mixed = new Set(picked.map(({ target }) => target)).size > 1;
  if (job && job.url !== chosen.url) URL.revokeObjectURL(job.url);
  rows = []; // those of the last job would play this one's speech
  byId("result").hidden = true;
  job = {
    id: null,
    over: false,
    url: chosen.url,
    models: picked.map((model) => ({ ...model, label: mixed ? `${model.name}, ${model.target}` : model.name })),
  };
  byId("cancel").hidden = byId("progress").hidden = false;
  byId("progress").value = 0;
  refresh();
  try {
    const { status, answer } = await send(chosen.file, ids);
    if (status !== 202) return ended({ state: "failed", error: answer?.detail ?? `The server answered ${status}` });
    Object.assign(job, { id: answer.id, seconds: answer.seconds });
    lay();
    listen();
  } catch {
    ended(
      job.cancelling
        ? { state: "cancelled" }
        : { state: "failed", error: "The server broke the connection off; is it still running?" },
    );
  }
});

byId("cancel").addEventListener("click", () => {
  job.cancelling = true;
  if (job.id) fetch(`api/jobs/${job.id}`, { method: "DELETE" });
  else job.abort();
});
