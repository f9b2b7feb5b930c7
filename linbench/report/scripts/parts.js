// Memory by purpose, at one value of the axis.
import { canvas, paint, plot, setBars, theme } from "./canvas.js";
import { data } from "./data.js";
import { finish, sliceRows } from "./slice.js";
import { fitting } from "./ticks.js";
import { crosses } from "./traces.js";
import { drawers } from "./view.js";
import { escaped, hover } from "./words.js";

const MOST = 6; // ticks
const { parts, extra, state: states } = data.parts;

/** Return the bars of one part. */
function bars({ title, pattern, bytes }, index, points, colour) {
  return {
    type: "bar", orientation: "h", name: title,
    y: points.map(({ row }) => escaped(row.name)), x: points.map(({ row }) => bytes[row.number]),
    marker: {
      color: colour(`series-${index}`),
      pattern: { shape: pattern, fillmode: "overlay", fgcolor: colour("page"), fgopacity: 0.55, size: 6 },
    },
    hoverinfo: "text", hovertext: points.map(({ row, text }) => hover(row, text)), textposition: "none",
  };
}

function draw(element, figure) {
  const here = sliceRows(figure), { marks } = here, colour = theme();
  const points = here.points.slice().sort((a, b) => b.y - a.y);
  const most = Math.max(1, ...points.map(({ y }) => y));
  const names = [...marks, ...points].map(({ row }) => escaped(row.name));
  const failures = marks.map((mark) => ({
    ...crosses([mark], null, paint(mark.row, colour), false), x: [most / 60], y: [escaped(mark.row.name)],
    mode: "markers+text", text: [`\u00a0${mark.row.status}`], textposition: "middle right", showlegend: false,
  }));
  const layout = canvas(figure, colour);
  const legend = { orientation: "h", yanchor: "bottom", y: 1.01, x: 0 };
  Object.assign(layout, { barmode: "stack", showlegend: true, legend, bargap: 0.35 });
  layout.margin = { ...layout.margin, l: 10, t: 66 };
  const ticks = fitting(figure.x_rulers, 0, most, MOST);
  Object.assign(layout.xaxis, { type: "linear", rangemode: "tozero", ...ticks });
  Object.assign(layout.yaxis, {
    type: "category", categoryorder: "array", categoryarray: names, automargin: true, title: { text: "" },
  });
  setBars(element, layout, names.length);
  const stacks = parts.map((part, index) => bars(part, index, points, colour));
  plot(element, figure, [...stacks, ...failures], layout);
  const titles = parts.map(({ title }) => title);
  const headings = ["Implementation", "Above the inputs", ...titles, "state"];
  finish(element, figure, here, headings, [
    ...points.map(({ row: { name, number } }) =>
      [name, extra[number], ...parts.map(({ texts }) => texts[number]), states[number]]),
    ...marks.map(({ row }) => [row.name, row.status, ...parts.map(() => "–"), "–"]),
  ]);
}

/** Register the function that draws the figure. */
export function drawParts() {
  drawers.parts = draw;
}
