// The heatmap is a table: its cells are read, searched and printed as text, and coloured by their speed-up.
import { axisText, data, rowsOf, state } from "./data.js";
import { speedups } from "./shown.js";
import { framed, make } from "./tables.js";
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
  const lines = group.panels.flatMap((number, place) => {
    const members = data.panels[number], value = speedups(members);
    const own = rowsOf(members).filter(({ implementation }) => implementation === Number(select.value));
    const at = new Map(own.map((row) => [row.x, row]));
    return own.length ? [[[group.shapes[place]], ...group.xs.map((x) => heatCell(at.get(x), value))]] : [];
  });
  const headings = [[group.corner], ...group.xs.map((x) => [axisText(x), "number"])];
  const table = lines.length ? framed(headings, lines, "heatmap") : make("p", "It was not measured here.");
  element.querySelector(".scroll").replaceChildren(table);
  const over = data.implementations[state.baseline].name;
  element.querySelector(".panel").textContent = `over ${over}, ${group.label}`;
}

/** Draw the figure so, where the page has it, of the first implementation that is not the baseline. */
export function drawHeatmap() {
  if (!select) return;
  drawers.heatmap = draw;
  select.value = data.implementations.findIndex((_, number) => number !== data.baseline);
  select.addEventListener("change", redraw);
}
