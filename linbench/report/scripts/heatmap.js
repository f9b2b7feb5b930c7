// The heatmap is a table, so that its cells can be read, searched and printed; speed-ups set their colours.
import { axisText, data, rowsOf, state } from "./data.js";
import { speedups } from "./shown.js";
import { buildTable, make } from "./tables.js";
import { drawers, redraw } from "./view.js";

const select = document.getElementById("heat");

function heatCell(row, value) {
  if (!row) return make("td", "–", "none");
  const { y, ratio, heat, text } = value(row);
  if (y === null) {
    const td = make("td", row.status === "ok" ? "no time" : row.status, row.failed ? "failed" : "none");
    td.title = row.reason || text;
    return td;
  }
  const td = make("td", ratio, "value");
  td.dataset.heat = heat;
  td.title = text;
  return td;
}

function draw(element) {
  const group = data.heat.find(({ panels }) => panels.includes(state.panel));
  const lines = group.panels.flatMap((number, index) => {
    const members = data.panels[number], value = speedups(members);
    const rows = rowsOf(members).filter(({ implementation }) => implementation === Number(select.value));
    const at = new Map(rows.map((row) => [row.x, row]));
    return rows.length ? [[[group.shapes[index]], ...group.xs.map((x) => heatCell(at.get(x), value))]] : [];
  });
  const headings = [[group.corner], ...group.xs.map((x) => [axisText(x), "number"])];
  const table = lines.length ? buildTable(headings, lines, "heatmap") : make("p", "Not measured here.");
  element.querySelector(".scroll").replaceChildren(table);
  const baseline = data.implementations[state.baseline].name;
  element.querySelector(".panel").textContent = `over ${baseline}, ${group.label}`;
}

/** Register the function that draws the heatmap, if the page has one; start with a non-baseline. */
export function drawHeatmap() {
  if (!select) return;
  drawers.heatmap = draw;
  select.value = data.implementations.findIndex((_, number) => number !== data.baseline);
  select.addEventListener("change", redraw);
}
