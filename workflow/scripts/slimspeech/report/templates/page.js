"use strict";

// The value of a chart's mark, shown beside the pointer.
{
  const tip = make("div", { id: "tip", role: "status", hidden: "" });
  document.body.append(tip);
  document.addEventListener("pointermove", (event) => {
    const mark = event.target.closest?.("svg.chart [aria-label][role='graphics-symbol']");
    const text = mark && !mark.classList.contains("role-axis") && mark.getAttribute("aria-label");
    tip.hidden = !text || /^[XY]-axis|^Symbol legend/.test(text);
    if (tip.hidden) return;
    tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - width - 8);
    const y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${y}px`;
  });
}

// The browser of utterances.
{
  const PAGE = 10;
  const data = JSON.parse(document.getElementById("utterance-data").textContent);
  const byId = (name) => document.getElementById(`u-${name}`);
  const controls = Object.fromEntries(
    ["pair", "talk", "metric", "sort", "compare", "text", "missing", "flagged"].map((name) => [name, byId(name)]),
  );
  const list = byId("list");
  let page = 0;
  let hidden = new Set(); // names of systems

  const pair = () => data.pairs[controls.pair.value];
  const fill = (select, options) =>
    select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));

  const scoreOf = (segment, system) => segment.scores[controls.metric.value]?.[system] ?? null;
  const loss = (segment, system) => {
    const teacher = scoreOf(segment, pair().systems.indexOf(data.teacher));
    const own = scoreOf(segment, system);
    return teacher === null || own === null ? null : teacher - own;
  };

  const line = (name, text, language, score = "", kind = "", flags = []) => {
    const label = make("span", { class: "name" }, name);
    for (const flag of flags) label.append(make("span", { class: "flag" }, flag));
    return [
      label,
      make("span", { class: "score " + kind }, score),
      make("span", { class: "said", lang: language, dir: "auto" }, text),
    ];
  };

  const systemLine = (segment, system) => {
    const text = segment.hypotheses[system];
    const name = pair().systems[system];
    const other = { reference: segment.reference, teacher: segment.hypotheses[pair().systems.indexOf(data.teacher)] }[
      controls.compare.value
    ];
    const own = scoreOf(segment, system);
    const lost = name === data.teacher ? null : loss(segment, system);
    let score = own === null ? "" : own.toFixed(Math.abs(own) > 2 ? 1 : 3);
    const step = own !== null && Math.abs(own) > 2 ? 0.05 : 0.0005;
    let kind = "";
    if (lost !== null) {
      const amount = Math.abs(lost).toFixed(step === 0.05 ? 1 : 3);
      score += lost > step ? ` (−${amount})` : lost < -step ? ` (+${amount})` : " (=)";
      kind = lost > step ? "worse" : lost < -step ? "better" : "";
    }
    const content = other === undefined ? text : marked(text, other, { words: pair().words, missing: controls.missing.checked });
    return line(name, text === "" ? make("em", {}, "empty") : content, pair().target, score, kind, segment.flags[system]);
  };

  const article = (segment) => {
    const title = make("h3", {}, segment.id);
    const head = make("header", {}, title, make("span", { class: "note" }, `${segment.talk} · ${segment.seconds} s`));
    if (segment.clip !== null) {
      const label = `Audio of ${segment.id}`;
      head.append(make("audio", { controls: "", preload: "none", src: data.clips[segment.clip], "aria-label": label }));
    }
    const lines = make("div", { class: "lines" });
    lines.append(...line("source", segment.source, pair().source));
    lines.append(...line("reference", segment.reference, pair().target));
    pair().systems.forEach((name, system) => {
      if (!hidden.has(name)) lines.append(...systemLine(segment, system));
    });
    return make("article", { class: "utterance" }, head, lines);
  };

  const matching = () => {
    const talk = controls.talk.value;
    const text = controls.text.value.trim().toLowerCase();
    const rows = pair().segments.filter(
      (segment) =>
        (!talk || segment.talk === talk) &&
        (!controls.flagged.checked || segment.flags.some((flags) => flags.length)) &&
        (!text ||
          [segment.id, segment.source, segment.reference, ...segment.hypotheses].some((part) =>
            part.toLowerCase().includes(text),
          )),
    );
    const [by, system] = controls.sort.value.split(" ");
    if (by === "order") return rows;
    const key = (segment) => (by === "loss" ? loss(segment, +system) : -(scoreOf(segment, +system) ?? Infinity));
    // Segments without a score are last.
    return rows.sort((a, b) => (key(b) ?? -Infinity) - (key(a) ?? -Infinity));
  };

  const show = () => {
    const rows = matching();
    const last = Math.max(0, Math.ceil(rows.length / PAGE) - 1);
    page = Math.min(page, last);
    const from = page * PAGE;
    const visible = rows.slice(from, from + PAGE);
    list.replaceChildren(...visible.map(article));
    const position = rows.length ? `${from + 1} to ${from + visible.length} of ${rows.length}` : "No segment matches";
    for (const element of document.querySelectorAll(".u-place")) element.textContent = position;
    for (const element of document.querySelectorAll(".u-previous")) element.disabled = page === 0;
    for (const element of document.querySelectorAll(".u-next")) element.disabled = page === last;
  };

  const choosePair = () => {
    const { segments, systems, metrics } = pair();
    const talks = [...new Set(segments.map((segment) => segment.talk))];
    fill(controls.talk, [["", "all talks"], ...talks.map((talk) => [talk, talk])]);
    fill(controls.metric, metrics.map(({ title }, i) => [i, title]));
    const others = systems.map((name, i) => [name, i]).filter(([name]) => name !== data.teacher);
    const comparable = systems.includes(data.teacher) && metrics.length;
    fill(controls.sort, [
      ["order order", "order of the test set"],
      ...(comparable ? others.map(([name, i]) => [`loss ${i}`, `loss of ${name} against ${data.teacher}`]) : []),
      ...(metrics.length ? systems.map((name, i) => [`score ${i}`, `lowest score of ${name}`]) : []),
    ]);
    fill(controls.compare, [
      ["reference", "the reference"],
      ...(systems.includes(data.teacher) ? [["teacher", "the teacher"]] : []),
      ["nothing", "nothing"],
    ]);
    controls.metric.disabled = !metrics.length;
    const flagged = segments.some((segment) => segment.flags.some((flags) => flags.length));
    controls.flagged.parentElement.hidden = !flagged;
    if (!flagged) controls.flagged.checked = false;
    hidden = new Set([...hidden].filter((name) => systems.includes(name)));
    byId("systems").replaceChildren(
      make("legend", {}, "Systems shown"),
      ...systems.map((name) => {
        const box = make("input", { type: "checkbox" });
        box.checked = !hidden.has(name);
        box.addEventListener("change", () => {
          if (box.checked) hidden.delete(name);
          else hidden.add(name);
          show();
        });
        return make("label", { class: "check" }, box, name);
      }),
    );
    page = 0;
    show();
  };

  if (data.pairs.length) {
    fill(controls.pair, data.pairs.map(({ title }, i) => [i, title]));
    controls.pair.addEventListener("change", choosePair);
    for (const name of ["talk", "metric", "sort", "compare", "missing", "flagged"]) {
      controls[name].addEventListener("change", () => ((page = 0), show()));
    }
    controls.text.addEventListener("input", () => ((page = 0), show()));
    const turn = (step) => () => {
      page += step;
      show();
      document.getElementById("utterances").scrollIntoView();
    };
    for (const element of document.querySelectorAll(".u-previous")) element.addEventListener("click", turn(-1));
    for (const element of document.querySelectorAll(".u-next")) element.addEventListener("click", turn(1));
    choosePair();
  }
}
