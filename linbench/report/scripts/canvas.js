// What a figure is drawn on.
import { panel } from "./data.js";
import { escaped } from "./words.js";

const PAPER_WIDTH = 660, BAR_HEIGHT = 17;
const CONFIG = {
  displaylogo: false,
  responsive: true,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
};

/** Return what finds a colour of the reader's theme by its name. */
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

/** Draw traces in a figure's place; say so where there is nothing to draw. */
export function plot(element, figure, traces, layout) {
  const picture = element.querySelector(".plot"), empty = !traces.some(({ x }) => x.length);
  picture.classList.toggle("empty", empty);
  if (empty) {
    layout.xaxis.visible = layout.yaxis.visible = false;
    layout.shapes = [];
    layout.annotations.push({
      text: "nothing to draw here", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false,
    });
  } else if (traces.every(({ x, yaxis }) => !x.length || yaxis === "y2")) {
    layout.yaxis.visible = false;
  }
  const toImageButtonOptions = { format: "svg", filename: `linbench-${figure.id}` };
  Plotly.react(picture, traces, layout, { ...CONFIG, toImageButtonOptions });
}

/** Write what a figure shows beside its title, and for those who cannot see it. */
export function setLabels(element, label, against) {
  element.querySelector(".panel").textContent = label;
  const said = `${against}, ${label || "no rows"}; the same as a table below`;
  element.querySelector(".plot").setAttribute("aria-label", said);
}

/** Return the label of the panel that is shown. */
export const panelLabel = () => (panel() ? panel().label : "");

/** Give each of so many bars the room that its name needs; plotly leaves out names that are too close. */
export function setBars(element, layout, bars) {
  const needed = BAR_HEIGHT * bars + 110, picture = element.querySelector(".plot");
  picture.style.height = "";
  if (needed > picture.clientHeight) {
    picture.style.height = `${needed}px`;
    layout.height = needed;
  }
}

/** Return a line across a figure where a ratio is 1. */
export const unity = (colour) => ({
  type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: 1, y1: 1,
  line: { color: colour("quiet"), width: 1 },
});
