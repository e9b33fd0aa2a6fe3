"use strict";

const byId = (name) => document.getElementById(name);
const [audio, statusLine, errorLine] = ["audio", "status", "error"].map(byId);
const INITIALLY_CHECKED = 4;

const clock = (seconds) => {
  const tenths = Math.round(seconds * 10);
  const [minutes, rest] = [Math.floor(tenths / 600), tenths % 600];
  return `${minutes}:${String(Math.floor(rest / 10)).padStart(2, "0")}.${rest % 10}`;
};
const fileSize = (bytes) => {
  const [unit, name] = [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]].find(([unit]) => bytes >= unit) ?? [1, "bytes"];
  return `${+(bytes / unit).toPrecision(3)} ${name}`;
};
const digits = (value) => (value < 1 ? value.toFixed(3) : value.toPrecision(3));
const setStatus = (text) => (statusLine.textContent = text);
const showError = (text) => {
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
let selected = null; // the file to send: {file, url}; the URL is for the player
let job = null; // the current or last job: {id, seconds, models, url, stream, over}

const refresh = () => {
  const anyModel = document.querySelector("#models input:checked");
  byId("translate").disabled = !selected || !anyModel || Boolean(job && !job.over);
};

const loadPlayer = (url) => {
  if (audio.src === url) return;
  byId("unplayable").hidden = true;
  audio.src = url;
  byId("player").hidden = false;
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
      make("span", { class: "note" }, `${model.layers} layers, ${fileSize(model.bytes)}, ${quantization}`),
    );
  };

  // Models by pair; those of the first pair are checked initially.
  const groups = () => {
    const titles = [...new Set(models.map(({ title }) => title))];
    return titles.map((title, group) => {
      const members = models.filter((model) => model.title === title);
      const cards = make("div", { class: "cards" });
      cards.append(...members.map((model, i) => card(model, group === 0 && i < INITIALLY_CHECKED)));
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
      `Up to ${fileSize(limits.bytes)} and ${minutes} minutes. WAV, FLAC, OGG and MP3 are sent unchanged; ` +
      "this browser decodes other formats, such as M4A and WebM, and sends WAV. " +
      "The server deletes the file after the translation.";
    refresh();
  };
  load().catch(() => showError("The server does not answer. Is it still running?"));
}

// Speech.
{
  const drop = byId("drop");
  const input = byId("file");

  let choices = 0;
  const choose = async (file) => {
    const choice = ++choices;
    showError("");
    if (selected && selected.url !== job?.url) URL.revokeObjectURL(selected.url);
    selected = null;
    refresh();
    byId("chosen").textContent = `Reading ${file.name} …`;
    const ready = await sendable(file).catch(() => null); // a folder, or a file that was moved
    if (choice !== choices) return; // another file was chosen meanwhile
    if (!ready || ready.size > limits.bytes) {
      byId("chosen").textContent = "No file chosen yet.";
      const problem = ready
        ? `${fileSize(ready.size)} is more than the limit, ${fileSize(limits.bytes)}`
        : "cannot be read; choose a file, not a folder";
      showError(`${file.name}: ${problem}.`);
      return;
    }
    selected = { file: ready, url: URL.createObjectURL(ready) };
    byId("chosen").replaceChildren(
      make("strong", {}, file.name),
      `, ${fileSize(file.size)}${ready === file ? "" : `, decoded to ${fileSize(ready.size)} of WAV`}`,
    );
    loadPlayer(selected.url);
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
    const [file, ...others] = event.dataTransfer.files;
    if (file) choose(file);
    if (others.length) showError(`The page takes one file at a time; ${others.length} of these are left out.`);
  });

  const button = byId("record");
  let stop = null;
  let ticking = 0;
  const finishRecording = async () => {
    clearInterval(ticking);
    const stopRecorder = stop;
    stop = null;
    button.textContent = "Record";
    button.classList.remove("recording");
    await choose(await stopRecorder());
  };
  if (!navigator.mediaDevices) {
    button.disabled = true;
    button.title = "Browsers allow the microphone only over https or on localhost";
  }
  button.addEventListener("click", async () => {
    if (stop) return finishRecording();
    showError("");
    try {
      stop = await startRecording();
    } catch {
      showError("There is no microphone, or this page is not allowed to use it.");
      return;
    }
    const began = performance.now();
    const tick = () => {
      const seconds = (performance.now() - began) / 1000;
      button.textContent = `Stop ${clock(seconds)}`;
      if (seconds >= limits.seconds - 1) finishRecording();
    };
    button.classList.add("recording");
    tick();
    ticking = setInterval(tick, 100);
  });
}

