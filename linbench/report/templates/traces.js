"use strict";
// What figures along the axis are made of: lines with intervals, axes, and a lane of crosses for what failed.
(() => {
  const { shortCount, escaped, hover, logTicks } = globalThis.linbench;

  /** Return the line of one implementation; it breaks where a value of the axis has no point. */
  function line(points, xs, colour, hollow, dash = points[0].row.style.dash) {
    const style = points[0].row.style;
    const at = new Map(points.map((point) => [point.row.x, point]));
    const along = (pick) => xs.map((x) => (at.has(x) ? pick(at.get(x)) : null));
    const symbol = (point) => style.marker + (hollow(point) ? "-open" : "");
    return {
      type: "scatter",
      mode: "lines+markers",
      name: escaped(style.name),
      x: xs,
      y: along((point) => point.y),
      error_y: {
        type: "data",
        symmetric: false,
        array: along((point) => (Number.isFinite(point.high) ? point.high - point.y : 0)),
        arrayminus: along((point) => (Number.isFinite(point.low) ? point.y - point.low : 0)),
        thickness: 1.2,
        width: 4,
        color: colour,
      },
      line: { color: colour, width: 1.6, dash },
      marker: { color: colour, size: 9, symbol: xs.map((x) => (at.has(x) ? symbol(at.get(x)) : style.marker)) },
      hoverinfo: "text",
      hovertext: along((point) => hover(point.row, point.text)),
    };
  }

  /** Return crosses for rows that failed: at their value where they have one, else in a lane at the top edge. */
  function crosses(marks, lane, colour, text) {
    const style = marks[0].row.style;
    return {
      type: "scatter",
      mode: lane === null || !text ? "markers" : "markers+text",
      name: escaped(`${style.name} failed`),
      x: marks.map(({ row }) => row.x),
      y: marks.map(({ y }) => (lane === null ? y : lane)),
      yaxis: lane === null ? "y" : "y2",
      marker: { color: colour, size: 8, symbol: "x-thin", line: { color: colour, width: 2 } },
      text: marks.map(({ row }) => escaped(row.status)),
      textposition: "middle left",
      textfont: { size: 10, color: colour },
      cliponaxis: false,
      hoverinfo: "text",
      hovertext: marks.map(({ row }) => hover(row, `${row.status}: ${row.reason}`)),
    };
  }

  /** Set a lane of so many lines apart, at the top edge of a figure, for what failed. */
  function setLane(layout, lines, picture, colour) {
    const share = Math.min(0.4, Math.max(34, 13 * lines) / (picture.clientHeight - 60));
    layout.yaxis.domain = [0, 1 - share - 0.015];
    layout.yaxis2 = {
      domain: [1 - share, 1], range: [-0.7, lines - 0.3], fixedrange: true, showgrid: false, zeroline: false,
      showticklabels: false, linecolor: colour("line"), showline: true,
    };
    layout.annotations.push({
      text: "failed", xref: "paper", yref: "paper", x: 0, y: 1 - share / 2, xanchor: "right", yanchor: "middle", xshift: -8, showarrow: false,
    });
    layout.shapes.push({
      type: "rect", xref: "paper", yref: "paper", x0: 0, x1: 1, y0: 1 - share, y1: 1, layer: "below",
      line: { width: 0 }, fillcolor: colour("panel"),
    });
  }

  /** Return at most `most` of the values, always with a regular step. */
  function thinned(values, most) {
    const step = Math.ceil(values.length / most);
    return values.filter((_, index) => (values.length - 1 - index) % step === 0);
  }

  /** Return how a log axis shows the values that were measured, with a tick at as many as fit. */
  function measuredAxis(xs, picture) {
    const ticks = thinned(xs, Math.max(2, Math.floor((picture.clientWidth - 96) / 44)));
    const ends = xs.length ? [xs[0], xs[xs.length - 1]].map(Math.log10) : [0, 1];
    const room = Math.max(0.12, (ends[1] - ends[0]) * 0.06);
    return { tickvals: ticks, ticktext: ticks.map(shortCount), range: [ends[0] - room, ends[1] + room] };
  }

  /** Return how a log axis shows points and their intervals; nothing if there is no point. */
  function valueAxis(points, base, text) {
    const values = points.map(({ y }) => y).filter((y) => y > 0);
    if (!values.length) return {};
    // An interval that reaches further than ten times its value is cut, so that it hides no other point.
    const ends = points.flatMap(({ y, low, high }) => [Math.max(low || y, y / 10), Math.min(high || y, 10 * y)]);
    const seen = [...values, ...ends.filter((end) => end > 0)];
    const [least, most] = [Math.log10(Math.min(...seen)), Math.log10(Math.max(...seen))];
    const room = Math.max(0.05, (most - least) * 0.06);
    return { ...logTicks(seen, base, text), range: [least - room, most + room] };
  }

  Object.assign(globalThis.linbench, { line, crosses, setLane, thinned, measuredAxis, valueAxis });
})();
