// Error against time, at one value of the axis.
import { canvas, plot, theme } from "./canvas.js";
import { errorTitle } from "./curves.js";
import { data, panel, state } from "./data.js";
import { dot, failureTraces, finish, sliceRows } from "./slice.js";
import { snug } from "./ticks.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

const TICK_WIDTH = 80; // pixels
const HEADINGS = ["Implementation", "Time [95% CI]", "Error", "On the Pareto front"];

function draw(element, figure) {
  const here = sliceRows(figure), { points } = here, colour = theme();
  const byNumber = new Map(points.map((point) => [point.row.number, point]));
  const front = panel().fronts[state.tensor].map((number) => byNumber.get(number)).filter(Boolean);
  const frontTrace = {
    type: "scatter", mode: "lines", name: "Pareto front",
    x: front.map(({ x }) => x), y: front.map(({ y }) => y),
    line: { color: colour("quiet"), width: 1.4, dash: "dot", shape: "hv" }, hoverinfo: "skip",
  };
  const dots = points.map(({ row, x, y, text }) => ({
    type: "scatter", mode: "markers", name: escaped(row.name), x: [x], y: [y],
    marker: dot(row, colour), hoverinfo: "text", hovertext: [hover(row, text)],
  }));
  const layout = canvas(figure, colour);
  const crosses = failureTraces(here.marks, element, layout, colour);
  layout.xaxis.visible = points.length > 0;
  if (points.length) {
    const most = Math.max(2, Math.floor(element.querySelector(".plot").clientWidth / TICK_WIDTH));
    Object.assign(layout.xaxis, snug(figure.x_rulers, points.map(({ x }) => x), most));
    Object.assign(layout.yaxis, snug(figure.y_rulers, points.map(({ y }) => y)));
  }
  layout.yaxis.title.text = errorTitle();
  plot(element, figure, [frontTrace, ...dots, ...crosses], layout);
  const { time } = data.values, error = data.errors[state.tensor].values;
  const line = (point) => {
    const { name, number } = point.row;
    return [name, time.text[number], error.text[number], front.includes(point) ? "yes" : "no"];
  };
  finish(element, figure, here, HEADINGS, [
    ...points.map(line),
    ...here.marks.map(({ row }) => [row.name, row.status, "–", "no"]),
  ]);
}

/** Register the function that draws the figure. */
export function drawPareto() {
  drawers.pareto = draw;
}
