// Tables and lists: a figure's numbers, and what it does not show.
import { axisText, data, groups } from "./data.js";
import { counted } from "./words.js";

/** Return an element with a text and a class. */
export function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function heading(scope, text, className) {
  const element = make("th", text, className);
  element.scope = scope;
  return element;
}

/** Return a table: a line of headings, and lines of cells of which the first is a heading. */
export function framed(headings, lines, className) {
  const table = make("table", undefined, className);
  const head = make("thead"), body = make("tbody"), top = make("tr");
  top.append(...headings.map(([text, kind]) => heading("col", text, kind)));
  for (const [[text, kind], ...cells] of lines) {
    const tr = make("tr");
    tr.append(heading("row", text, kind), ...cells);
    body.append(tr);
  }
  head.append(top);
  table.append(head, body);
  return table;
}

/** Return a table of texts; the first of each line is its heading. */
export function tabled(headings, lines) {
  const cells = lines.map(([name, ...texts]) => [[name], ...texts.map((text) => make("td", text, "value"))]);
  return framed(headings.map((text) => [text]), cells);
}

function cell(entry) {
  if (!entry) return make("td", "–", "none");
  const { row, text, why } = entry;
  if (row.failed) return make("td", [row.status, text].filter(Boolean).join(" "), "failed");
  if (text) return make("td", text, "value");
  return make("td", row.status === "ok" ? why : row.status, "none");
}

/** Set a table in a place: a line a value of the axis, a column an implementation. */
export function tabulate(place, { points, marks, absent, xs }) {
  const entries = [...points, ...marks, ...absent];
  const shown = [...new Set(entries.map(({ row }) => row.implementation))].sort((a, b) => a - b);
  const cells = new Map(entries.map((entry) => [`${entry.row.implementation} ${entry.row.x}`, entry]));
  const headings = [[data.axis, "number"], ...shown.map((index) => [data.implementations[index].name])];
  const cellsAt = (x) => shown.map((index) => cell(cells.get(`${index} ${x}`)));
  const lines = xs.map((x) => [[axisText(x), "number"], ...cellsAt(x)]);
  place.replaceChildren(framed(headings, lines));
}

/** List what failed or was not measured, and why, those for one reason together. */
export function listMissing(details, { marks, points, absent }) {
  const failed = [...marks, ...points.filter(({ row }) => row.failed)];
  const missing = [...failed.map(({ row }) => ({ row, why: row.reason })), ...absent];
  details.hidden = !missing.length;
  const summary = `Failed or not measured, and why (${counted(missing.length)})`;
  details.querySelector("summary").textContent = summary;
  const alike = groups(missing, ({ row, why }) => [row.implementation, row.status, why].join("\n"));
  const items = alike.map((members) => {
    const { row, why } = members[0];
    const xs = members.map((member) => axisText(member.row.x)).join("; ");
    const text = `${row.name}, ${row.status} at ${data.axis} = ${xs}: ${why}`;
    return make("li", text, row.failed ? "failed" : "");
  });
  details.querySelector("ul").replaceChildren(...items);
}
