"use strict";
// Functions that the report and the page of `slimspeech serve` share. Text is inserted only as text.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

// The theme: that of the system, or the reader's choice.
{
  const button = document.getElementById("theme");
  const names = { "": "auto", light: "light", dark: "dark" };
  const order = Object.keys(names);
  const apply = (theme) => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    button.textContent = `◐ ${names[theme]}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    const current = document.documentElement.dataset.theme ?? "";
    apply(order[(order.indexOf(current) + 1) % order.length]);
  });
  apply("");
}

// The words of a text, or its characters in languages without spaces.
const tokens = (text, words) => (words ? (text.match(/\S+/gu) ?? []) : Array.from(text));

// A text with its differences from another marked; with `missing`, missing words are struck through.
const marked = (text, other, { words, missing }) => {
  const separator = words ? " " : "";
  const line = make("span");
  for (const part of Diff.diffArrays(tokens(other, words), tokens(text, words))) {
    if (part.removed && !missing) continue;
    const piece = part.value.join(separator);
    line.append(part.added ? make("mark", {}, piece) : part.removed ? make("del", {}, piece) : piece, separator);
  }
  return line;
};
