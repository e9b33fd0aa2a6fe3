"use strict";
// What the pages of this project share. Texts reach a page by textContent alone.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

// Theme: that of the system, unless the reader chooses.
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
    const now = document.documentElement.dataset.theme ?? "";
    apply(order[(order.indexOf(now) + 1) % order.length]);
  });
  apply("");
}

// The words of a text, or its characters where words have no spaces between.
const tokens = (text, words) => (words ? (text.match(/\S+/gu) ?? []) : Array.from(text));

// A text with what differs from another marked, and if wished what it lacks struck out.
const marked = (text, other, { words, missing }) => {
  const glue = words ? " " : "";
  const line = make("span");
  for (const part of Diff.diffArrays(tokens(other, words), tokens(text, words))) {
    if (part.removed && !missing) continue;
    const piece = part.value.join(glue);
    line.append(part.added ? make("mark", {}, piece) : part.removed ? make("del", {}, piece) : piece, glue);
  }
  return line;
};
