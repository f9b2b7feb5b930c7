// Texts as plotly takes them, and how many there are of what only the reader's choice tells.
import { axisText, data } from "./data.js";

const LINE = /.{1,56}(?:\s|$)|\S{56}|\S+/g, MOST_LINES = 8;
const counting = new Intl.NumberFormat("en");

/** Return how many things are listed, as text. */
export const counted = (number) => counting.format(number);

/** Return a text as plotly shows it letter by letter: it reads a little HTML in its labels. */
export const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function wrapped(text) {
  const lines = (text.match(LINE) || []).slice(0, MOST_LINES);
  return lines.map((line) => escaped(line.trim())).join("<br>");
}

/** Return what is said of a point under the pointer. */
export function hover(row, text) {
  const flags = row.flags.length ? `<br>${wrapped(`flagged: ${row.flags.join(", ")}`)}` : "";
  return `<b>${wrapped(row.name)}</b><br>${data.axis} = ${axisText(row.x)}<br>${wrapped(text)}${flags}`;
}
