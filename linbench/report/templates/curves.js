"use strict";
// Figures along the axis: a line an implementation, and crosses where it failed.
(() => {
  const {
    data, state, count, shortCount, digits, interval, SECONDS, size, rate, groups, sorted,
    make, listMissing, escaped, hover, theme, canvas, plot, logTicks, drawers,
  } = globalThis.linbench;

  const tickText = {
    time: (value) => interval(value, value, value, SECONDS).split(" [")[0],
    memory: size,
    speedup: (value) => `${digits(value)}×`,
    error: digits,
    throughput: (value) => rate(value),
    state: size,
  };

  /** Return the line of one implementation; it breaks where a value of the axis has no point. */
  function line(points, xs, colour) {
    const style = points[0].row.style;
    const at = new Map(points.map((point) => [point.row.x, point]));
    const along = (pick) => xs.map((x) => (at.has(x) ? pick(at.get(x)) : null));
    const symbol = (point) => style.marker + (point.row.flags.length ? "-open" : "");
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
      line: { color: colour, width: 1.6, dash: style.dash },
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

  /** Return the budget of each operator as a dashed line; of the worst tensors' shares it is 1. */
  function budgets(points, xs, colour) {
    const dashed = (y, name) => ({
      type: "scatter", mode: "lines", name: escaped(name), x: xs, y, hoverinfo: "text", hovertext: escaped(name),
      line: { color: colour, width: 1.4, dash: "dash" }, connectgaps: true,
    });
    if (!state.tensor) return points.length ? [dashed(xs.map(() => 1), "budget")] : [];
    const operator = ({ row }) => row.name.split("/")[0];
    return groups(points, operator).map((members) => {
      const at = new Map(members.map(({ row }) => [row.x, row.errors[state.tensor][1]]));
      return dashed(xs.map((x) => at.get(x) || null), `budget, ${operator(members[0])}`);
    }).filter(({ y }) => y.some((value) => value));
  }

  /** Return at most `most` of the values, always with a regular step. */
  function thinned(values, most) {
    const step = Math.ceil(values.length / most);
    return values.filter((_, index) => (values.length - 1 - index) % step === 0);
  }

  function draw(element, figure) {
    const found = sorted(figure);
    const colour = theme();
    const paint = (row) => colour(`series-${row.style.colour}`);
    const picture = element.querySelector(".plot");
    const wide = picture.clientWidth / Math.max(1, found.xs.length) > 62;

    const right = found.points.filter(({ row }) => !row.failed);
    const wrong = found.points.filter(({ row }) => row.failed);
    const lanes = groups(found.marks, ({ row }) => row.implementation);
    const traces = groups(right, ({ row }) => row.implementation).map((points) => line(points, found.xs, paint(points[0].row)));
    const limits = figure.id === "error" ? budgets(found.points, found.xs, colour("quiet")) : [];
    traces.unshift(...limits);
    for (const marks of groups(wrong, ({ row }) => row.implementation)) traces.push(crosses(marks, null, paint(marks[0].row), false));
    lanes.forEach((marks, lane) => traces.push(crosses(marks, lanes.length - 1 - lane, paint(marks[0].row), wide)));

    const layout = canvas(figure, colour);
    const ticks = thinned(found.xs, Math.max(2, Math.floor((picture.clientWidth - 96) / 44)));
    const ends = found.xs.length ? [found.xs[0], found.xs[found.xs.length - 1]].map(Math.log10) : [0, 1];
    const room = Math.max(0.12, (ends[1] - ends[0]) * 0.06);
    Object.assign(layout.xaxis, { tickvals: ticks, ticktext: ticks.map(shortCount), range: [ends[0] - room, ends[1] + room] });
    for (const { name, y } of limits) {
      layout.annotations.push({
        text: name, x: ends[1], y: Math.log10(y.findLast((value) => value)), xanchor: "right", yanchor: "top", yshift: -1,
        showarrow: false, font: { size: 11, color: colour("quiet") },
      });
    }
    const values = [...found.points, ...limits.flatMap(({ y }) => y.map((y) => ({ y })))].map(({ y }) => y).filter((y) => y > 0);
    if (values.length) {
      // An interval that reaches further than ten times its value is cut, so that it hides no other point.
      const ends = found.points.flatMap(({ y, low, high }) => [Math.max(low || y, y / 10), Math.min(high || y, 10 * y)]);
      const seen = [...values, ...ends];
      const [least, most] = [Math.log10(Math.min(...seen)), Math.log10(Math.max(...seen))];
      const room = Math.max(0.05, (most - least) * 0.06);
      Object.assign(layout.yaxis, logTicks(seen, tickText[figure.id] === size ? 2 : 10, tickText[figure.id]), { range: [least - room, most + room] });
    }
    if (figure.id === "speedup") {
      if (state.baseline) layout.yaxis.title.text = `time of ${escaped(state.baseline)} / time`;
      layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: 1, y1: 1, line: { color: colour("quiet"), width: 1 } });
    }
    if (figure.id === "error") {
      layout.yaxis.title.text = state.tensor ? `relative L2 error of ${escaped(state.tensor)}` : "error of the worst tensor / budget";
    }
    if (lanes.length) {
      const share = Math.min(0.4, Math.max(34, 13 * lanes.length) / (picture.clientHeight - 60));
      layout.yaxis.domain = [0, 1 - share - 0.015];
      layout.yaxis2 = {
        domain: [1 - share, 1], range: [-0.7, lanes.length - 0.3], fixedrange: true, showgrid: false, zeroline: false,
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
    plot(element, figure, traces, layout);
    const panel = data.panels[state.panel];
    element.querySelector(".panel").textContent = panel ? panel.label : "";
    picture.setAttribute("aria-label", `${figure.title} against ${data.axis}, ${panel ? panel.label : "no rows"}; the same as a table below`);
    listMissing(element.querySelector(".missing"), found);
    tabulate(element.querySelector(".numbers .scroll"), found);
  }

  function tabulate(place, { points, marks, absent, xs }) {
    const table = make("table"), head = make("thead"), body = make("tbody");
    const entries = [...points, ...marks, ...absent];
    const shown = [...new Set(entries.map(({ row }) => row.implementation))].sort((a, b) => a - b);
    const cells = new Map(entries.map((entry) => [`${entry.row.implementation} ${entry.row.x}`, entry]));
    const top = make("tr");
    top.append(make("th", data.axis, "number"), ...shown.map((index) => make("th", data.implementations[index].name)));
    for (const heading of top.children) heading.scope = "col";
    for (const x of xs) {
      const tr = make("tr"), heading = make("th", count(x), "number");
      heading.scope = "row";
      tr.append(heading);
      for (const index of shown) {
        const entry = cells.get(`${index} ${x}`);
        if (!entry) tr.append(make("td", "–", "none"));
        else if (entry.row.failed) tr.append(make("td", [entry.row.status, entry.text].filter(Boolean).join(" "), "failed"));
        else if (entry.text) tr.append(make("td", entry.text, "value"));
        else tr.append(make("td", entry.row.status === "ok" ? entry.why : entry.row.status, "none"));
      }
      body.append(tr);
    }
    head.append(top);
    table.append(head, body);
    place.replaceChildren(table);
  }

  for (const id of Object.keys(tickText)) drawers[id] = draw;
})();
