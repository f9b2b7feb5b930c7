// Figures along the axis: one line per implementation, and crosses where it failed.
import { canvas, paint, panelLabel, plot, setLabels, theme, unity } from "./canvas.js";
import { byImplementation, data, groups, state } from "./data.js";
import { figureRows } from "./shown.js";
import { listMissing, tabulate } from "./tables.js";
import { measuredAxis, valueAxis } from "./ticks.js";
import { crosses, line, setLane } from "./traces.js";
import { drawers } from "./view.js";
import { escaped } from "./words.js";

const FIGURES = ["time", "memory", "speedup", "error", "throughput", "state", "approximation"];
const STATUS_WIDTH = 62; // pixels between values of the axis that leave room for a status next to its cross

/** Return the title of the axis of errors. */
export function errorTitle() {
  if (!state.tensor) return "error of the worst tensor / tolerance";
  return `relative L2 error of ${escaped(state.tensor)}`;
}

/** Return the tolerance of each operator as a dashed line; for the worst tensor it is 1. */
function tolerances(points, xs, colour) {
  const dashed = (y, name) => ({
    type: "scatter", mode: "lines", name: escaped(name), x: xs, y, connectgaps: true,
    line: { color: colour, width: 1.4, dash: "dash" }, hoverinfo: "text", hovertext: escaped(name),
  });
  if (!state.tensor) return points.length ? [dashed(xs.map(() => 1), "tolerance")] : [];
  const { tolerance } = data.errors[state.tensor];
  const lines = groups(points, ({ row }) => row.style.operator).map((members) => {
    const at = new Map(members.map(({ row }) => [row.x, tolerance[row.number]]));
    return dashed(xs.map((x) => at.get(x) || null), `tolerance, ${members[0].row.style.operator}`);
  });
  return lines.filter(({ y }) => y.some((value) => value));
}

/** Return the label at the right end of a line. */
function endLabel({ name, x, y }, colour) {
  return {
    text: name, x: Math.log10(x.at(-1)), y: Math.log10(y.findLast((value) => value)), xanchor: "right",
    yanchor: "top", yshift: -1, showarrow: false, font: { size: 11, color: colour("quiet") },
  };
}

const isFlagged = ({ row }) => row.flags.length > 0;

function draw(element, figure) {
  const here = figureRows(figure), colour = theme();
  const picture = element.querySelector(".plot");
  const isWide = picture.clientWidth / Math.max(1, here.xs.length) > STATUS_WIDTH;

  const successes = here.points.filter(({ row }) => !row.failed);
  const failed = here.points.filter(({ row }) => row.failed);
  const lanes = byImplementation(here.marks);
  const colourOf = (members) => paint(members[0].row, colour);
  const limits = figure.id === "error" ? tolerances(here.points, here.xs, colour("quiet")) : [];
  const traces = [
    ...limits,
    ...byImplementation(successes).map((points) => line(points, here.xs, colourOf(points), isFlagged)),
    ...byImplementation(failed).map((marks) => crosses(marks, null, colourOf(marks), false)),
    ...lanes.map((marks, lane) => crosses(marks, lanes.length - 1 - lane, colourOf(marks), isWide)),
  ];

  const layout = canvas(figure, colour);
  Object.assign(layout.xaxis, measuredAxis(here.xs, picture));
  layout.annotations.push(...limits.map((limit) => endLabel(limit, colour)));
  const values = [...here.points, ...limits.flatMap(({ y }) => y.map((limit) => ({ y: limit })))];
  Object.assign(layout.yaxis, valueAxis(values, figure.y_rulers));
  if (figure.id === "speedup") {
    const baseline = data.implementations[state.baseline];
    if (baseline) layout.yaxis.title.text = `time of ${escaped(baseline.name)} / time`;
    layout.shapes.push(unity(colour));
  }
  if (figure.id === "error") layout.yaxis.title.text = errorTitle();
  if (lanes.length) setLane(layout, lanes.length, picture, colour);
  plot(element, figure, traces, layout);
  setLabels(element, panelLabel(), `${figure.title} against ${data.axis}`);
  listMissing(element.querySelector(".missing"), here);
  tabulate(element.querySelector(".numbers .scroll"), here);
}

/** Register the function that draws these figures. */
export function drawCurves() {
  for (const id of FIGURES) drawers[id] = draw;
}
