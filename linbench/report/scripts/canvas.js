// The layout of figures.
import { panel } from "./data.js";
import { escaped } from "./words.js";

const PAPER_WIDTH = 660, BAR_HEIGHT = 17;
const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
};

/** Return a function that returns a colour of the reader's theme by its name. */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  return (name) => style.getPropertyValue(`--${name}`).trim();
}

/** Return the colour of an implementation. */
export const paint = ({ style }, colour) => colour(`series-${style.colour}`);

/** Return a figure's layout in the colours of the reader's theme. */
export function canvas(figure, colour) {
  const axis = (title) => ({
    type: "log",
    title: { text: escaped(title) },
    gridcolor: colour("grid"),
    linecolor: colour("line"),
    zeroline: false,
    showline: true,
    ticks: "outside",
    tickcolor: colour("line"),
  });
  const layout = {
    xaxis: { ...axis(figure.x_title), anchor: "y" },
    yaxis: axis(figure.y_title),
    margin: { l: 80, r: 20, t: 8, b: 48 },
    showlegend: false,
    hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hoverlabel: {
      bgcolor: colour("panel"),
      bordercolor: colour("line"),
      font: { color: colour("ink"), size: 12 },
      align: "left",
    },
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    shapes: [],
    annotations: [],
  };
  layout.xaxis.title.standoff = 10;
  if (document.documentElement.classList.contains("printing")) layout.width = PAPER_WIDTH;
  return layout;
}

/** Draw traces in the element of a figure, or a note if there is nothing to draw. */
export function plot(element, figure, traces, layout) {
  const picture = element.querySelector(".plot"), empty = !traces.some(({ x }) => x.length);
  picture.classList.toggle("empty", empty);
  if (empty) {
    layout.xaxis.visible = layout.yaxis.visible = false;
    layout.shapes = [];
    layout.annotations.push({
      text: "no data in this panel", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false,
    });
  } else if (traces.every(({ x, yaxis }) => !x.length || yaxis === "y2")) {
    layout.yaxis.visible = false;
  }
  const toImageButtonOptions = { format: "svg", filename: `linbench-${figure.id}` };
  Plotly.react(picture, traces, layout, { ...CONFIG, toImageButtonOptions });
}

/** Set the label next to the title of a figure, and its description for screen readers. */
export function setLabels(element, label, description) {
  element.querySelector(".panel").textContent = label;
  const text = `${description}, ${label || "no rows"}; the table below has the same data`;
  element.querySelector(".plot").setAttribute("aria-label", text);
}

/** Return the label of the current panel. */
export const panelLabel = () => (panel() ? panel().label : "");

/** Make a figure high enough for the names of its bars; plotly leaves out names that are too close. */
export function setBars(element, layout, bars) {
  const height = BAR_HEIGHT * bars + 110, picture = element.querySelector(".plot");
  picture.style.height = "";
  if (height > picture.clientHeight) {
    picture.style.height = `${height}px`;
    layout.height = height;
  }
}

/** Return a line across a figure at a ratio of 1. */
export const unity = (colour) => ({
  type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: 1, y1: 1,
  line: { color: colour("quiet"), width: 1 },
});
