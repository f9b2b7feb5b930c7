// Tables and lists: the numbers of a figure, and the rows that it does not show.
import { axisText, data, groups } from "./data.js";
import { formatCount } from "./words.js";

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

/** Return a table with column headings; the first cell of each line is a row heading. */
export function buildTable(headings, lines, className) {
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

/** Return a table of texts; the first text of each line is its heading. */
export function textTable(headings, lines) {
  const cells = lines.map(([name, ...texts]) => [[name], ...texts.map((text) => make("td", text, "value"))]);
  return buildTable(headings.map((text) => [text]), cells);
}

function cell(entry) {
  if (!entry) return make("td", "–", "none");
  const { row, text, reason } = entry;
  if (row.failed) return make("td", [row.status, text].filter(Boolean).join(", "), "failed");
  if (text) return make("td", text, "value");
  return make("td", row.status === "ok" ? reason : row.status, "none");
}

/** Write a table into an element: one line per value of the axis, one column per implementation. */
export function tabulate(container, { points, marks, absent, xs }) {
  const entries = [...points, ...marks, ...absent];
  const numbers = [...new Set(entries.map(({ row }) => row.implementation))].sort((a, b) => a - b);
  const cells = new Map(entries.map((entry) => [`${entry.row.implementation} ${entry.row.x}`, entry]));
  const headings = [[data.axis, "number"], ...numbers.map((index) => [data.implementations[index].name])];
  const cellsAt = (x) => numbers.map((index) => cell(cells.get(`${index} ${x}`)));
  const lines = xs.map((x) => [[axisText(x), "number"], ...cellsAt(x)]);
  container.replaceChildren(buildTable(headings, lines));
}

/** List the rows that failed or were not measured, grouped by reason. */
export function listMissing(details, { marks, points, absent }) {
  const failed = [...marks, ...points.filter(({ row }) => row.failed)];
  const missing = [...failed.map(({ row }) => ({ row, reason: row.reason })), ...absent];
  details.hidden = !missing.length;
  const summary = `Failed or not measured, with reasons (${formatCount(missing.length)})`;
  details.querySelector("summary").textContent = summary;
  const byReason = groups(missing, ({ row, reason }) => [row.implementation, row.status, reason].join("\n"));
  const items = byReason.map((members) => {
    const { row, reason } = members[0];
    const xs = members.map((member) => axisText(member.row.x)).join("; ");
    const text = `${row.name}, ${row.status} at ${data.axis} = ${xs}: ${reason}`;
    return make("li", text, row.failed ? "failed" : "");
  });
  details.querySelector("ul").replaceChildren(...items);
}
