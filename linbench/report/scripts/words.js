// Texts: escaping for plotly, hover texts and formatted counts.
import { axisText, data } from "./data.js";

const LINE = /.{1,56}(?:\s|$)|\S{56}|\S+/g, MOST_LINES = 8;
const countFormat = new Intl.NumberFormat("en");

/** Return a count as text. */
export const formatCount = (number) => countFormat.format(number);

/** Return a text escaped for plotly, which interprets some HTML in its labels. */
export const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function wrapped(text) {
  const lines = (text.match(LINE) || []).slice(0, MOST_LINES);
  return lines.map((line) => escaped(line.trim())).join("<br>");
}

/** Return the hover text of a point. */
export function hover(row, text) {
  const flags = row.flags.length ? `<br>${wrapped(`flagged: ${row.flags.join(", ")}`)}` : "";
  return `<b>${wrapped(row.name)}</b><br>${data.axis} = ${axisText(row.x)}<br>${wrapped(text)}${flags}`;
}
