// The roofline: throughput against arithmetic intensity, under the measured ceilings of the machine.
import { canvas, paint, plot, theme } from "./canvas.js";
import { data, panel } from "./data.js";
import { dot, finish, sliceRows } from "./slice.js";
import { snug } from "./ticks.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

const LABEL_WIDTH = 36; // pixels
const HEADINGS = [
  "Implementation", "Time [95% CI]", "Share of speed of light [95% CI]", "Useful FLOP/s",
  "Algorithmic FLOP/s", "Bandwidth", "Arithmetic intensity, FLOP/B", "Fewest bytes",
];
const work = data.points;
const timeTexts = data.listing.columns.find(({ heading }) => heading === "Time [95% CI]").texts;

/** Return the points of a row: its useful work, and the work of its algorithm if declared. */
function places({ number }) {
  const useful = { x: work.intensity[number], y: work.values.y[number] };
  const algorithm = { x: work.algorithmic_intensity[number], y: work.algorithmic[number] };
  return algorithm.y === null ? [useful] : [useful, algorithm];
}

function roofTrace({ name, text, x, y }, colour) {
  const isMemory = name === "memory";
  return {
    type: "scatter", mode: "lines", name: escaped(`roof of ${name}`), x, y,
    line: { color: colour("quiet"), width: isMemory ? 1.8 : 1.1, dash: isMemory ? "solid" : "dot" },
    hoverinfo: "text", hovertext: x.map(() => escaped(text)),
  };
}

function rowTrace({ row, text }, colour) {
  const ends = places(row), useful = hover(row, text);
  const algorithm = `${useful}<br>${work.algorithmic_text[row.number]} algorithmic`;
  return {
    type: "scatter", mode: "lines+markers", name: escaped(row.name),
    x: ends.map(({ x }) => x), y: ends.map(({ y }) => y),
    line: { color: paint(row, colour), width: 1.2 },
    marker: { ...dot(row, colour), size: [11, 5].slice(0, ends.length) },
    hoverinfo: "text", hovertext: [useful, algorithm].slice(0, ends.length),
  };
}

/** Return the names of the levels at the ridge points of their roofs; close points share one label. */
function labels(roofs, apart, colour) {
  const groups = [];
  for (const { name, x, y } of roofs) {
    const at = Math.log10(x[1]), last = groups.at(-1);
    if (last && at < last.at + apart) last.names.push(name);
    else groups.push({ names: [name], at, top: Math.log10(y[1]) });
  }
  return groups.map(({ names, at, top }) => ({
    text: escaped(names.join(", ")), x: at, y: top, yanchor: "bottom", xanchor: "center",
    showarrow: false, font: { size: 11, color: colour("quiet") },
  }));
}

function draw(element, figure) {
  const here = sliceRows(figure), { points } = here, colour = theme();
  const { device, dtype } = panel().settings, roofs = data.roofs[`${device} ${dtype}`] || [];
  const traces = points.map((point) => rowTrace(point, colour)), layout = canvas(figure, colour);
  if (points.length) {
    const ends = points.flatMap(({ row }) => places(row));
    const axis = snug(figure.x_rulers, [...ends.map(({ x }) => x), ...roofs.map(({ x }) => x[1])]);
    const picture = element.querySelector(".plot");
    const apart = ((axis.range[1] - axis.range[0]) * LABEL_WIDTH) / picture.clientWidth;
    traces.unshift(...roofs.map((roof) => roofTrace(roof, colour)));
    Object.assign(layout.xaxis, axis);
    const ys = [...ends.map(({ y }) => y), ...roofs.map(({ y }) => y[1])];
    Object.assign(layout.yaxis, snug(figure.y_rulers, ys));
    layout.annotations.push(...labels(roofs, apart, colour));
  }
  plot(element, figure, traces, layout);
  finish(element, figure, here, HEADINGS, points.map(({ row: { name, number } }) => [
    name, timeTexts[number], work.share_text[number], work.useful_text[number], work.algorithmic_text[number],
    work.bytes_text[number], work.intensity_text[number], work.fewest_text[number],
  ]));
}

/** Register the function that draws the figure. */
export function drawRoofline() {
  drawers.roofline = draw;
}
