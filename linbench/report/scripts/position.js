// Error along the sequence, at one value of the axis.
import { canvas, paint, plot, theme } from "./canvas.js";
import { data } from "./data.js";
import { dot, failureTraces, finish, sliceRows } from "./slice.js";
import { snug } from "./ticks.js";
import { cross } from "./traces.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

const { along, texts, tensor, segments, division } = data.positions;
const segmentsOf = ({ number }) => segments[division[number]];

function trace(row, colour) {
  const { middles, texts: tokens } = segmentsOf(row), tint = paint(row, colour);
  const failure = row.failed ? `; ${row.status}: ${row.reason}` : "";
  const describe = (text, index) => `${tensor[row.number]}, tokens ${tokens[index]}: ${text}${failure}`;
  return {
    type: "scatter", mode: "lines+markers", name: escaped(row.name), x: middles, y: along[row.number],
    line: { color: tint, width: 1.6, dash: row.style.dash },
    marker: row.failed ? cross(tint) : { ...dot(row, colour), size: 7 },
    hoverinfo: "text",
    hovertext: texts[row.number].map((text, index) => hover(row, describe(text, index))),
  };
}

function draw(element, figure) {
  const here = sliceRows(figure), { points } = here, colour = theme();
  const traces = points.map(({ row }) => trace(row, colour));
  const layout = canvas(figure, colour);
  traces.push(...failureTraces(here.marks, element, layout, colour));
  layout.xaxis.visible = points.length > 0;
  layout.xaxis.type = "linear";
  const values = points.flatMap(({ row }) => along[row.number]).filter((value) => value > 0);
  if (values.length) Object.assign(layout.yaxis, snug(figure.y_rulers, values));
  plot(element, figure, traces, layout);

  const rows = [...points, ...here.marks].map(({ row }) => row);
  const heading = ({ name, number, failed: isFailed, status }) =>
    [name, tensor[number], isFailed ? status : ""].filter(Boolean).join(", ");
  const finer = (a, b) => (b.texts.length > a.texts.length ? b : a);
  const finest = rows.map(segmentsOf).reduce(finer, { texts: [] });
  const line = (tokens, index) => [tokens, ...rows.map(({ number }) => texts[number][index] ?? "–")];
  finish(element, figure, here, ["Tokens", ...rows.map(heading)], finest.texts.map(line));
}

/** Register the function that draws the figure. */
export function drawPosition() {
  drawers.position = draw;
}
