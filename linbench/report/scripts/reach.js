// How far each implementation gets along the axis before it is out of memory.
import { canvas, paint, plot, setBars, setLabels, theme } from "./canvas.js";
import { data, panel } from "./data.js";
import { drawn, panelRows } from "./shown.js";
import { listMissing, tabled } from "./tables.js";
import { measuredAxis } from "./ticks.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

/** Return a bar each, from below every value that was measured to the largest that fits. */
function bars(fitting, from, colour) {
  return {
    type: "bar", orientation: "h", name: "largest that fits", y: fitting.map(({ label }) => label),
    base: fitting.map(() => from), x: fitting.map(({ largest }) => largest - from),
    marker: { color: fitting.map((one) => paint(one, colour)) }, width: 0.55,
    hoverinfo: "text", hovertext: fitting.map(({ said }) => said), textposition: "none",
  };
}

/** Return the ends: a cross at the first value that was refused, an arrow where none was. */
function ends(members, colour, isRefused) {
  const color = members.map((one) => paint(one, colour));
  const marker = isRefused ? { symbol: "x-thin", size: 9 } : { symbol: "triangle-right", size: 16 };
  return {
    type: "scatter", mode: "markers+text", name: isRefused ? "out of memory" : "never out of memory",
    cliponaxis: false,
    x: members.map(({ refused, largest }) => (isRefused ? refused : largest)),
    y: members.map(({ label }) => label),
    marker: { ...marker, color, line: { color, width: isRefused ? 2 : 0 } },
    text: members.map(({ end }) => end), textposition: "middle right",
    textfont: { color: colour("ink"), size: 11 },
    hoverinfo: "text", hovertext: members.map(({ said }) => said),
  };
}

/** Return the reach of each implementation that is drawn, with its style and what is said of it. */
function reached() {
  return panel().reach.filter(({ implementation }) => drawn(implementation)).map((one) => {
    const style = data.implementations[one.implementation];
    const row = { name: style.name, x: one.largest ?? one.refused, flags: [] };
    return { ...one, style, label: escaped(style.name), said: hover(row, one.text) };
  });
}

function draw(element, figure) {
  const here = reached(), colour = theme(), { xs, label } = panel(), from = xs[0] / 2;
  const layout = canvas(figure, colour), picture = element.querySelector(".plot");
  const axis = measuredAxis(xs, picture);
  Object.assign(layout.xaxis, axis, { range: [Math.log10(from), axis.range[1]] });
  Object.assign(layout.yaxis, {
    type: "category", categoryorder: "array", categoryarray: here.map((one) => one.label),
    automargin: true, title: { text: "" },
  });
  setBars(element, layout, here.length);
  layout.margin = { ...layout.margin, l: 10, r: 56 };
  const refused = here.filter((one) => one.refused !== null);
  const free = here.filter((one) => one.refused === null);
  const fitting = here.filter(({ largest }) => largest !== null);
  const traces = [bars(fitting, from, colour), ends(refused, colour, true), ends(free, colour, false)];
  plot(element, figure, traces, layout);
  setLabels(element, label, `Largest ${data.axis} of each implementation before it is out of memory`);
  const shown = new Set(here.map(({ implementation }) => implementation));
  const rest = panelRows().filter((row) => drawn(row.implementation) && !shown.has(row.implementation));
  const absent = rest.map((row) => ({ row, why: row.reason }));
  listMissing(element.querySelector(".missing"), { marks: [], points: [], absent });
  const headings = ["Implementation", `Largest ${data.axis}`, `Out of memory at ${data.axis}`, "Reason"];
  const lines = here.slice().reverse().map(({ style, cells }) => [style.name, ...cells]);
  element.querySelector(".numbers .scroll").replaceChildren(tabled(headings, lines));
}

/** Draw the figure so. */
export function drawReach() {
  drawers.reach = draw;
}
