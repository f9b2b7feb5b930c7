// Traces of figures along the axis: lines with intervals, and a lane of crosses for failures.
import { escaped, hover } from "./words.js";

/** Return the line of one implementation; it is broken at values of the axis without a point. */
export function line(points, xs, colour, hollow, dash = points[0].row.style.dash) {
  const { style } = points[0].row;
  const at = new Map(points.map((point) => [point.row.x, point]));
  const along = (pick) => xs.map((x) => (at.has(x) ? pick(at.get(x)) : null));
  const symbol = (point) => style.marker + (hollow(point) ? "-open" : "");
  return {
    type: "scatter",
    mode: "lines+markers",
    name: escaped(style.name),
    x: xs,
    y: along(({ y }) => y),
    error_y: {
      type: "data",
      symmetric: false,
      array: along(({ y, high }) => (Number.isFinite(high) ? high - y : 0)),
      arrayminus: along(({ y, low }) => (Number.isFinite(low) ? y - low : 0)),
      thickness: 1.2,
      width: 4,
      color: colour,
    },
    line: { color: colour, width: 1.6, dash },
    marker: {
      color: colour, size: 9, symbol: xs.map((x) => (at.has(x) ? symbol(at.get(x)) : style.marker)),
    },
    hoverinfo: "text",
    hovertext: along(({ row, text }) => hover(row, text)),
  };
}

/** Return a cross of a colour, as a marker. */
export const cross = (colour) => ({
  color: colour, size: 8, symbol: "x-thin", line: { color: colour, width: 2 },
});

/** Return crosses for rows that failed: at their value, or in a lane at the top edge. */
export function crosses(marks, lane, colour, text) {
  return {
    type: "scatter",
    mode: lane === null || !text ? "markers" : "markers+text",
    name: escaped(`${marks[0].row.name} failed`),
    x: marks.map(({ row }) => row.x),
    y: marks.map(({ y }) => (lane === null ? y : lane)),
    yaxis: lane === null ? "y" : "y2",
    marker: cross(colour),
    text: marks.map(({ row }) => escaped(row.status)),
    textposition: "middle left",
    textfont: { size: 10, color: colour },
    cliponaxis: false,
    hoverinfo: "text",
    hovertext: marks.map(({ row }) => hover(row, `${row.status}: ${row.reason}`)),
  };
}

/** Add a lane for failures, of a given number of lines, at the top edge of a figure. */
export function setLane(layout, lines, picture, colour) {
  const share = Math.min(0.4, Math.max(34, 13 * lines) / (picture.clientHeight - 60));
  layout.yaxis.domain = [0, 1 - share - 0.015];
  layout.yaxis2 = {
    domain: [1 - share, 1], range: [-0.7, lines - 0.3], fixedrange: true, showgrid: false, zeroline: false,
    showticklabels: false, linecolor: colour("line"), showline: true,
  };
  layout.annotations.push({
    text: "failed", xref: "paper", yref: "paper", x: 0, y: 1 - share / 2, xanchor: "right", yanchor: "middle",
    xshift: -8, showarrow: false,
  });
  layout.shapes.push({
    type: "rect", xref: "paper", yref: "paper", x0: 0, x1: 1, y0: 1 - share, y1: 1, layer: "below",
    line: { width: 0 }, fillcolor: colour("panel"),
  });
}
