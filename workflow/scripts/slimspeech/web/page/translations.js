"use strict";

// The player: a row plays its own stretch, and whatever plays is highlighted.
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
  // Whoever moves the player's own slider wants to hear on.
  audio.addEventListener("seeking", () => {
    if (stopAt !== null && Math.abs(audio.currentTime - sought) > 0.05) stopAt = null;
  });
  return {
    toggle(row) {
      if (row.element.classList.contains("playing")) return audio.pause();
      listenTo(job.url); // another file may have been chosen since
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

// The columns beside the model's name, and what tells them apart where there is no head.
const TIMES = [["state"], ["segments", "Segments"], ["time", "Time"], ["factor", "Real-time factor"], ["links"]];

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
    for (const [name, column] of TIMES) head[name] = make("td", { role: "cell", "data-name": column });
    head.state.classList.add("text");
    head.links.classList.add("text");
    head.state.textContent = "waits";
    heads[model.id] = head;
    const { state, segments, time, factor, links } = head;
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
