"use strict";

const byId = (name) => document.getElementById(name);
const [audio, statusLine, errorLine] = ["audio", "status", "error"].map(byId);
const CHOSEN_AT_FIRST = 4;

const clock = (seconds) => {
  const tenths = Math.round(seconds * 10);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  return `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}.${rest % 10}`;
};
const sized = (bytes) => {
  const [unit, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([unit]) => bytes >= unit) ?? [1, "bytes"];
  return `${+(bytes / unit).toPrecision(3)} ${name}`;
};
const digits = (value) => (value < 1 ? value.toFixed(3) : value.toPrecision(3));
const say = (text) => (statusLine.textContent = text);
const complain = (text) => {
  errorLine.textContent = text;
  errorLine.hidden = !text;
};

const dot = (model) => {
  const mark = make("span", { class: "dot" });
  mark.style.background = model.color;
  return mark;
};

let models = [];
let limits = {};
let chosen = null; // the file to send
let job = null; // what runs or ran: {id, models, stream, over}

const refresh = () => {
  const some = document.querySelector("#models input:checked");
  byId("translate").disabled = !chosen || !some || Boolean(job && !job.over);
};

// Models.
{
  const card = (model, checked) => {
    const box = make("input", { type: "checkbox", value: model.id });
    box.checked = checked;
    box.addEventListener("change", refresh);
    const quantization = model.quantization === "none" ? "not quantised" : model.quantization.toUpperCase();
    return make(
      "label",
      { class: "card" },
      box,
      make("span", {}, dot(model), make("strong", {}, model.name)),
      make("span", { class: "note" }, `${model.layers} layers, ${sized(model.bytes)}, ${quantization}`),
    );
  };

  // Those of one pair stand together; those of the first are chosen at first.
  const groups = () => {
    const titles = [...new Set(models.map(({ title }) => title))];
    return titles.map((title, group) => {
      const members = models.filter((model) => model.title === title);
      const cards = make("div", { class: "cards" });
      cards.append(...members.map((model, i) => card(model, group === 0 && i < CHOSEN_AT_FIRST)));
      return make("fieldset", {}, make("legend", {}, title), cards);
    });
  };

  const load = async () => {
    const answer = await (await fetch("api/models")).json();
    limits = answer.limits;
    models = answer.models.map((model, i) => ({ ...model, color: `var(--series-${i % 10})` }));
    byId("models").replaceChildren(...groups());
    const minutes = +(limits.seconds / 60).toFixed(1);
    byId("limits").textContent =
      `Up to ${sized(limits.bytes)} and ${minutes} minutes. WAV, FLAC, OGG and MP3 are sent as they are; ` +
      "others, such as M4A and WebM, are decoded by this browser and sent as WAV. " +
      "Files are kept by the server only while they are translated.";
    refresh();
  };
  load().catch(() => complain("The server does not answer; is it still running?"));
}

// The speech.
{
  const drop = byId("drop");
  const input = byId("file");

  const choose = async (file) => {
    complain("");
    chosen = null;
    refresh();
    byId("chosen").textContent = `Reading ${file.name} …`;
    const ready = await sendable(file);
    if (ready.size > limits.bytes) {
      byId("chosen").textContent = "No file chosen yet.";
      complain(`${file.name}: ${sized(ready.size)} is more than ${sized(limits.bytes)}, the limit here.`);
      return;
    }
    chosen = ready;
    byId("chosen").replaceChildren(
      make("strong", {}, file.name),
      `, ${sized(file.size)}${ready === file ? "" : `, decoded to ${sized(ready.size)} of WAV`}`,
    );
    URL.revokeObjectURL(audio.src);
    byId("unplayable").hidden = true;
    audio.src = URL.createObjectURL(ready);
    byId("player").hidden = false;
    refresh();
  };

  input.addEventListener("change", () => {
    if (input.files.length) choose(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  audio.addEventListener("error", () => (byId("unplayable").hidden = false));
  for (const [kind, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", over);
    });
  }
  drop.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  });

  const button = byId("record");
  let stop = null;
  let ticking = 0;
  const finish = async () => {
    clearInterval(ticking);
    const stopping = stop;
    stop = null;
    button.textContent = "Record";
    button.classList.remove("recording");
    await choose(await stopping());
  };
  if (!navigator.mediaDevices) {
    button.disabled = true;
    button.title = "Browsers give a page the microphone only over https or on localhost";
  }
  button.addEventListener("click", async () => {
    if (stop) return finish();
    complain("");
    try {
      stop = await startRecording();
    } catch {
      complain("No microphone: there is none, or this page may not use it.");
      return;
    }
    const began = performance.now();
    const tick = () => {
      const seconds = (performance.now() - began) / 1000;
      button.textContent = `Stop ${clock(seconds)}`;
      if (seconds >= limits.seconds - 1) finish();
    };
    button.classList.add("recording");
    tick();
    ticking = setInterval(tick, 100);
  });
}

// The player: a row plays its own stretch, and whatever plays is highlighted.
const player = (() => {
  let stopAt = null;
  const rowAt = (time) =>
    rows.find(({ start, end }) => time >= start - 0.01 && time < end) ?? null;
  const follow = () => {
    if (stopAt !== null && audio.currentTime >= stopAt) {
      audio.pause();
      stopAt = null;
    }
    const now = audio.paused ? null : rowAt(audio.currentTime);
    for (const row of rows) {
      const playing = row === now;
      if (playing === row.element.classList.contains("playing")) continue;
      row.element.classList.toggle("playing", playing);
      row.button.firstChild.textContent = playing ? "❚❚" : "▶";
      row.button.setAttribute("aria-label", `${playing ? "Pause" : "Play"} from ${clock(row.start)}`);
    }
    if (!audio.paused) requestAnimationFrame(follow);
  };
  for (const kind of ["play", "pause", "seeked"]) audio.addEventListener(kind, follow);
  // Whoever moves the player's own slider wants to hear on.
  audio.addEventListener("seeking", () => {
    if (stopAt !== null && Math.abs(audio.currentTime - sought) > 0.05) stopAt = null;
  });
  let sought = 0;
  return {
    toggle(row) {
      if (row.element.classList.contains("playing")) return audio.pause();
      sought = row.start;
      stopAt = row.end;
      audio.currentTime = row.start;
      audio.play();
    },
  };
})();

// The translations.
let rows = [];
let heads = {};

const column = (id) => job.models.findIndex((model) => model.id === id);

const showText = (row, at) => {
  const cell = row.cells[at];
  const text = row.texts[at];
  if (text === undefined) return;
  cell.classList.remove("awaited");
  const against = byId("compare").value === "" ? -1 : +byId("compare").value;
  const other = against >= 0 && job.models[against].target === job.models[at].target ? row.texts[against] : undefined;
  const shown =
    other === undefined || against === at ? text : marked(text, other, { words: job.models[at].words, missing: false });
  cell.replaceChildren(text === "" ? make("em", {}, "nothing") : shown);
};

const rowOf = ({ start, end }) => {
  const known = rows.find((row) => row.start === start && row.end === end);
  if (known) return known;
  const button = make(
    "button",
    { type: "button", class: "play", "aria-label": `Play from ${clock(start)}` },
    make("span", { "aria-hidden": "true" }, "▶"),
    ` ${clock(start)}`,
  );
  const cells = job.models.map((model) =>
    make("td", { role: "cell", class: "awaited", lang: model.target, dir: "auto", "data-name": model.label }, "…"),
  );
  const element = make("tr", { role: "row" }, make("td", { role: "cell" }, button), ...cells);
  const row = { start, end, button, cells, element, texts: [] };
  button.addEventListener("click", () => player.toggle(row));
  const after = rows.findIndex((other) => other.start > start);
  const place = after < 0 ? rows.length : after;
  byId("segments").tBodies[0].insertBefore(element, rows[place]?.element ?? null);
  rows.splice(place, 0, row);
  return row;
};

const showModel = (event) => {
  const head = heads[event.model];
  const names = { loading: "loading the model", translating: "translating", done: "done", failed: event.error };
  head.state.textContent = names[event.state];
  head.state.classList.toggle("failed", event.state === "failed");
  if (event.state === "done" || event.state === "failed") head.share = 1;
  showProgress();
  const model = job.models[column(event.model)];
  if (event.state === "loading") say(`Loading ${model.label} …`);
  if (event.state === "translating") say(`${model.label} translates …`);
  if (event.state === "done") {
    head.time.textContent = `${digits(event.seconds)} s`;
    head.factor.textContent = digits(event.real_time_factor);
    const links = ["srt", "vtt", "txt"].map((kind) =>
      make(
        "a",
        { href: `api/jobs/${job.id}/${event.model}.${kind}`, download: "", "aria-label": `${kind} of ${model.label}` },
        kind.toUpperCase(),
      ),
    );
    head.links.replaceChildren(...links);
  }
};

// How much of the whole is translated: models one after the other, each up to its last segment.
const showProgress = () => {
  const share = job.models.reduce((sum, { id }) => sum + heads[id].share, 0) / job.models.length;
  byId("progress").value = share;
};

const showSegment = (event) => {
  const row = rowOf(event);
  const at = column(event.model);
  row.texts[at] = event.text;
  // A text that others are compared with changes how those look.
  if (byId("compare").value === String(at)) job.models.forEach((_, i) => showText(row, i));
  else showText(row, at);
  const head = heads[event.model];
  head.segments.textContent = ++head.count;
  head.share = Math.min(1, event.end / job.seconds);
  showProgress();
};

const ended = (event) => {
  job.over = true;
  job.stream?.close();
  byId("cancel").hidden = byId("progress").hidden = true;
  for (const row of rows) {
    for (const cell of row.cells) if (cell.classList.contains("awaited")) cell.textContent = "";
  }
  say(event.state !== "done" ? "" : rows.length ? "Done." : "Done: no speech was found.");
  if (event.state === "cancelled" && job.cancelling) say("Cancelled.");
  else complain(event.error ?? "");
  refresh();
};

const lay = () => {
  rows = [];
  heads = {};
  const times = byId("times").tBodies[0];
  times.replaceChildren();
  for (const model of job.models) {
    const head = { count: 0, share: 0 };
    for (const name of ["state", "segments", "time", "factor", "links"]) head[name] = make("td", {}, "");
    head.state.classList.add("text");
    head.links.classList.add("text");
    head.state.textContent = "waits";
    heads[model.id] = head;
    const { state, segments, time, factor, links } = head;
    times.append(make("tr", {}, make("td", {}, dot(model), model.label), state, segments, time, factor, links));
  }
  const header = make("tr", { role: "row" }, make("th", { role: "columnheader", scope: "col" }, "Play"));
  for (const model of job.models) header.append(make("th", { role: "columnheader", scope: "col" }, dot(model), model.label));
  byId("segments").tHead.replaceChildren(header);
  byId("segments").tBodies[0].replaceChildren();
  const targets = job.models.map((model) => model.target);
  const comparable = targets.some((target, i) => targets.indexOf(target) !== i);
  byId("compare").replaceChildren(
    ...job.models.map((model, i) => make("option", { value: i }, model.label)),
    make("option", { value: "" }, "nothing"),
  );
  byId("compare").value = comparable ? "0" : "";
  byId("compare-controls").hidden = !comparable;
  byId("result").hidden = false;
};

byId("compare").addEventListener("change", () => {
  for (const row of rows) job.models.forEach((_, i) => showText(row, i));
});

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
  const picked = models.filter(({ id }) => ids.includes(id));
  const mixed = new Set(picked.map(({ target }) => target)).size > 1;
  job = {
    id: null,
    over: false,
    models: picked.map((model) => ({ ...model, label: mixed ? `${model.name}, ${model.target}` : model.name })),
  };
  byId("cancel").hidden = byId("progress").hidden = false;
  byId("progress").value = 0;
  refresh();
  try {
    const { status, answer } = await send(chosen, ids);
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
