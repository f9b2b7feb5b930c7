// The page of two runs: the ratio of their times and both times along the axis, and the table of shared rows.
import { canvas, paint, panelLabel, plot, setLabels, theme, unity } from "./canvas.js";
import { watchCopies } from "./copying.js";
import { byImplementation, classify, data, panel, rowsOf, state, valueOf } from "./data.js";
import { list } from "./listing.js";
import { listMissing, tabulate } from "./tables.js";
import { measuredAxis, valueAxis } from "./ticks.js";
import { crosses, line, setLane } from "./traces.js";
import { drawers, redraw, watch, watchLegend } from "./view.js";

/** Return the drawn pairs as points, marks, and pairs that a figure cannot show. */
function figureRows(columns) {
  const all = rowsOf(panel()).filter(({ implementation }) => !state.hidden.has(implementation));
  return classify(all, panel().xs, (row) => valueOf(columns, row));
}

/** Return the times of one side of pairs, as points. */
function pointsOf({ values, flags }, entries) {
  const point = ({ row }) => ({ row: { ...row, flags: flags[row.number] }, ...valueOf(values, row) });
  const points = entries.map(point);
  return points.filter(({ y }) => y !== null);
}

/** Add crosses, axes and labels to lines, draw them, and write the table and the list of missing rows. */
function finish(element, figure, here, { points, traces, colour, shapes }) {
  const picture = element.querySelector(".plot"), layout = canvas(figure, colour);
  const lanes = byImplementation(here.marks);
  traces.push(...lanes.map((marks, lane) =>
    crosses(marks, lanes.length - 1 - lane, paint(marks[0].row, colour), false)));
  Object.assign(layout.xaxis, measuredAxis(here.xs, picture));
  Object.assign(layout.yaxis, valueAxis(points, figure.y_rulers));
  layout.shapes.push(...shapes);
  if (lanes.length) setLane(layout, lanes.length, picture, colour);
  plot(element, figure, traces, layout);
  setLabels(element, panelLabel(), `${figure.title} against ${data.axis}`);
  listMissing(element.querySelector(".missing"), { ...here, points: [] });
  tabulate(element.querySelector(".numbers .scroll"), here);
}

drawers.ratio = (element, figure) => {
  const here = figureRows(data.ratio), colour = theme();
  const isHollow = ({ row }) => !data.suspect[row.number];
  const traces = byImplementation(here.points).map((members) =>
    line(members, here.xs, paint(members[0].row, colour), isHollow));
  const points = [...here.points, { y: 1 }];
  finish(element, figure, here, { points, traces, colour, shapes: [unity(colour)] });
};

drawers.times = (element, figure) => {
  const here = figureRows(data.times), colour = theme();
  here.marks = here.marks.map((mark) => ({ ...mark, text: data.times.text[mark.row.number] }));
  const sides = data.sides.map((side) => pointsOf(side, [...here.points, ...here.marks]));
  const traces = sides.flatMap((points, index) => byImplementation(points).map((members) => {
    const isA = index === 0;
    const trace = line(members, here.xs, paint(members[0].row, colour), () => isA, isA ? "dash" : "solid");
    return { ...trace, name: `${trace.name}, ${data.sides[index].name}` };
  }));
  finish(element, figure, here, { points: sides.flat(), traces, colour, shapes: [] });
};

document.getElementById("panel").addEventListener("change", ({ target }) => {
  state.panel = Number(target.value);
  redraw();
});
watchLegend(document.querySelectorAll(".legend input"));
list({});
watchCopies();
watch();
document.documentElement.dataset.ready = "";
