"use strict";

// The player: the button of a row plays its segment; the segment that plays is highlighted.
const player = (() => {
  let stopAt = null;
  let sought = 0;
  const rowAt = (time) => rows.find(({ start, end }) => time >= start - 0.01 && time < end) ?? null;
  const follow = () => {
    if (stopAt !== null && audio.currentTime >= stopAt) {
      audio.pause();
      stopAt = null;
    }
    const now = audio.paused || audio.src !== job?.url ? null : rowAt(audio.currentTime);
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
  // After the user moves the player's slider, it plays on beyond the segment.
  audio.addEventListener("seeking", () => {
    if (stopAt !== null && Math.abs(audio.currentTime - sought) > 0.05) stopAt = null;
  });
  return {
    toggle(row) {
      if (row.element.classList.contains("playing")) return audio.pause();
      loadPlayer(job.url); // another file may have been chosen
      sought = row.start;
      stopAt = row.end;
      audio.currentTime = row.start;
      audio.play();
    },
  };
})();

// The translations.
let rows = [];
let modelRows = {};

// The columns beside the model's name, and their labels where the table has no header.
const COLUMNS = [["state"], ["segments", "Segments"], ["time", "Time"], ["factor", "Real-time factor"], ["links"]];

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
  const existing = rows.find((row) => row.start === start && row.end === end);
  if (existing) return existing;
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
  const index = after < 0 ? rows.length : after;
  byId("segments").tBodies[0].insertBefore(element, rows[index]?.element ?? null);
  rows.splice(index, 0, row);
  return row;
};

const showModel = (event) => {
  const entry = modelRows[event.model];
  const names = { loading: "loading the model", translating: "translating", done: "done", failed: event.error };
  entry.state.textContent = names[event.state];
  entry.state.classList.toggle("failed", event.state === "failed");
  if (event.state === "done" || event.state === "failed") entry.share = 1;
  showProgress();
  const model = job.models[column(event.model)];
  if (event.state === "loading") setStatus(`Loading ${model.label} …`);
  if (event.state === "translating") setStatus(`Translating with ${model.label} …`);
  if (event.state === "done") {
    entry.time.textContent = `${digits(event.seconds)} s`;
    entry.factor.textContent = digits(event.real_time_factor);
    const links = ["srt", "vtt", "txt"].map((kind) =>
      make(
        "a",
        { href: `api/jobs/${job.id}/${event.model}.${kind}`, download: "", "aria-label": `${kind} of ${model.label}` },
        kind.toUpperCase(),
      ),
    );
    entry.links.replaceChildren(...links);
  }
};

// The translated share of the audio, over all models.
const showProgress = () => {
  const share = job.models.reduce((sum, { id }) => sum + modelRows[id].share, 0) / job.models.length;
  byId("progress").value = share;
};

const showSegment = (event) => {
  const row = rowOf(event);
  const at = column(event.model);
  row.texts[at] = event.text;
  // The differences of the others depend on the text that they are compared with.
  if (byId("compare").value === String(at)) job.models.forEach((_, i) => showText(row, i));
  else showText(row, at);
  const entry = modelRows[event.model];
  entry.segments.textContent = ++entry.count;
  entry.share = Math.min(1, event.end / job.seconds);
  showProgress();
};

const ended = (event) => {
  job.over = true;
  job.stream?.close();
  byId("cancel").hidden = byId("progress").hidden = true;
  for (const row of rows) {
    for (const cell of row.cells) if (cell.classList.contains("awaited")) cell.textContent = "";
  }
  setStatus(event.state !== "done" ? "" : rows.length ? "Done." : "Done: no speech found.");
  if (event.state === "cancelled" && job.cancelling) setStatus("Cancelled.");
  else showError(event.error ?? "");
  refresh();
};

const showTables = () => {
  rows = [];
  modelRows = {};
  const times = byId("times").tBodies[0];
  times.replaceChildren();
  for (const model of job.models) {
    const entry = { count: 0, share: 0 };
    for (const [name, column] of COLUMNS) entry[name] = make("td", { role: "cell", "data-name": column });
    entry.state.classList.add("text");
    entry.links.classList.add("text");
    entry.state.textContent = "waiting";
    modelRows[model.id] = entry;
    const { state, segments, time, factor, links } = entry;
    const name = make("td", { role: "cell" }, dot(model), model.label);
    times.append(make("tr", { role: "row" }, name, state, segments, time, factor, links));
  }
  const header = make("tr", { role: "row" }, make("th", { role: "columnheader", scope: "col" }, "Play"));
  for (const model of job.models) header.append(make("th", { role: "columnheader", scope: "col" }, dot(model), model.label));
  byId("segments").tHead.replaceChildren(header);
  byId("segments").tBodies[0].replaceChildren();
  const targets = job.models.map((model) => model.target);
  const comparable = targets.findIndex((target, i) => targets.indexOf(target, i + 1) > 0);
  byId("compare").replaceChildren(
    ...job.models.map((model, i) => make("option", { value: i }, model.label)),
    make("option", { value: "" }, "nothing"),
  );
  byId("compare").value = comparable < 0 ? "" : comparable;
  byId("compare-controls").hidden = comparable < 0;
  byId("result").hidden = false;
};

byId("compare").addEventListener("change", () => {
  for (const row of rows) job.models.forEach((_, i) => showText(row, i));
});
