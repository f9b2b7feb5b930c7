// The largest value of the axis at which each implementation fits in memory.
import { canvas, paint, plot, setBars, setLabels, theme } from "./canvas.js";
import { data, panel } from "./data.js";
import { isDrawn, panelRows } from "./shown.js";
import { listMissing, textTable } from "./tables.js";
import { measuredAxis } from "./ticks.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

/** Return the bars, from below the smallest measured value to the largest that fits. */
function bars(fitting, from, colour) {
  return {
    type: "bar", orientation: "h", name: "largest that fits", y: fitting.map(({ label }) => label),
    base: fitting.map(() => from), x: fitting.map(({ largest }) => largest - from),
    marker: { color: fitting.map((item) => paint(item, colour)) }, width: 0.55,
    hoverinfo: "text", hovertext: fitting.map(({ hoverText }) => hoverText), textposition: "none",
  };
}

/** Return the ends of the bars: a cross at the first value out of memory, an arrow if there is none. */
function ends(members, colour, isOutOfMemory) {
  const color = members.map((item) => paint(item, colour));
  const marker = isOutOfMemory ? { symbol: "x-thin", size: 9 } : { symbol: "triangle-right", size: 16 };
  return {
    type: "scatter", mode: "markers+text", name: isOutOfMemory ? "out of memory" : "never out of memory",
    cliponaxis: false,
    x: members.map(({ refused, largest }) => (isOutOfMemory ? refused : largest)),
    y: members.map(({ label }) => label),
    marker: { ...marker, color, line: { color, width: isOutOfMemory ? 2 : 0 } },
    text: members.map(({ end }) => end), textposition: "middle right",
    textfont: { color: colour("ink"), size: 11 },
    hoverinfo: "text", hovertext: members.map(({ hoverText }) => hoverText),
  };
}

/** Return the reach of each drawn implementation, with its style, label and hover text. */
function styledReach() {
  return panel().reach.filter(({ implementation }) => isDrawn(implementation)).map((item) => {
    const style = data.implementations[item.implementation];
    const row = { name: style.name, x: item.largest ?? item.refused, flags: [] };
    return { ...item, style, label: escaped(style.name), hoverText: hover(row, item.text) };
  });
}

function draw(element, figure) {
  const here = styledReach(), colour = theme(), { xs, label } = panel(), from = xs[0] / 2;
  const layout = canvas(figure, colour), picture = element.querySelector(".plot");
  const axis = measuredAxis(xs, picture);
  Object.assign(layout.xaxis, axis, { range: [Math.log10(from), axis.range[1]] });
  Object.assign(layout.yaxis, {
    type: "category", categoryorder: "array", categoryarray: here.map((item) => item.label),
    automargin: true, title: { text: "" },
  });
  setBars(element, layout, here.length);
  layout.margin = { ...layout.margin, l: 10, r: 56 };
  const limited = here.filter((item) => item.refused !== null);
  const unlimited = here.filter((item) => item.refused === null);
  const fitting = here.filter(({ largest }) => largest !== null);
  const traces = [bars(fitting, from, colour), ends(limited, colour, true), ends(unlimited, colour, false)];
  plot(element, figure, traces, layout);
  setLabels(element, label, `Largest ${data.axis} at which each implementation fits in memory`);
  const inFigure = new Set(here.map(({ implementation }) => implementation));
  const rest = panelRows().filter((row) => isDrawn(row.implementation) && !inFigure.has(row.implementation));
  const absent = rest.map((row) => ({ row, reason: row.reason }));
  listMissing(element.querySelector(".missing"), { marks: [], points: [], absent });
  const headings = [
    "Implementation", `Largest ${data.axis} that fits`, `Out of memory at ${data.axis}`, "Reason",
  ];
  const lines = here.slice().reverse().map(({ style, cells }) => [style.name, ...cells]);
  element.querySelector(".numbers .scroll").replaceChildren(textTable(headings, lines));
}

/** Register the function that draws the figure. */
export function drawReach() {
  drawers.reach = draw;
}
