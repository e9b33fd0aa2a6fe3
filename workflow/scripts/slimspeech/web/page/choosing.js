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
let chosen = null; // what is to be sent: {file, url}; the URL is for the player
let job = null; // what runs or ran: {id, seconds, models, url, stream, over}

const refresh = () => {
  const some = document.querySelector("#models input:checked");
  byId("translate").disabled = !chosen || !some || Boolean(job && !job.over);
};

const listenTo = (url) => {
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

  const forget = (url) => {
    if (url && url !== job?.url) URL.revokeObjectURL(url);
  };

  let choices = 0;
  const choose = async (file) => {
    const choice = ++choices;
    complain("");
    forget(chosen?.url);
    chosen = null;
    refresh();
    byId("chosen").textContent = `Reading ${file.name} …`;
    const ready = await sendable(file);
    if (choice !== choices) return; // another was chosen meanwhile
    if (ready.size > limits.bytes) {
      byId("chosen").textContent = "No file chosen yet.";
      complain(`${file.name}: ${sized(ready.size)} is more than ${sized(limits.bytes)}, the limit here.`);
      return;
    }
    chosen = { file: ready, url: URL.createObjectURL(ready) };
    byId("chosen").replaceChildren(
      make("strong", {}, file.name),
      `, ${sized(file.size)}${ready === file ? "" : `, decoded to ${sized(ready.size)} of WAV`}`,
    );
    listenTo(chosen.url);
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

