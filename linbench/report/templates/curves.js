"use strict";
// Figures along the axis: a line an implementation, and crosses where it failed.
(() => {
  const {
    data, state, digits, interval, SECONDS, size, rate, groups, sorted, listMissing, tabulate, escaped,
    theme, canvas, plot, drawers, line, crosses, setLane, measuredAxis, valueAxis,
  } = globalThis.linbench;

  const tickText = {
    time: (value) => interval(value, value, value, SECONDS).split(" [")[0],
    memory: size,
    speedup: (value) => `${digits(value)}×`,
    error: digits,
    throughput: (value) => rate(value),
    state: size,
    approximation: digits,
  };

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

  function draw(element, figure) {
    const found = sorted(figure);
    const colour = theme();
    const paint = (row) => colour(`series-${row.style.colour}`);
    const picture = element.querySelector(".plot");
    const wide = picture.clientWidth / Math.max(1, found.xs.length) > 62;

    const right = found.points.filter(({ row }) => !row.failed);
    const wrong = found.points.filter(({ row }) => row.failed);
    const lanes = groups(found.marks, ({ row }) => row.implementation);
    const traces = groups(right, ({ row }) => row.implementation).map((points) => line(points, found.xs, paint(points[0].row), ({ row }) => row.flags.length));
    const limits = figure.id === "error" ? budgets(found.points, found.xs, colour("quiet")) : [];
    traces.unshift(...limits);
    for (const marks of groups(wrong, ({ row }) => row.implementation)) traces.push(crosses(marks, null, paint(marks[0].row), false));
    lanes.forEach((marks, lane) => traces.push(crosses(marks, lanes.length - 1 - lane, paint(marks[0].row), wide)));

    const layout = canvas(figure, colour);
    Object.assign(layout.xaxis, measuredAxis(found.xs, picture));
    for (const { name, y } of limits) {
      layout.annotations.push({
        text: name, x: Math.log10(found.xs[found.xs.length - 1]), y: Math.log10(y.findLast((value) => value)), xanchor: "right", yanchor: "top", yshift: -1,
        showarrow: false, font: { size: 11, color: colour("quiet") },
      });
    }
    const seen = [...found.points, ...limits.flatMap(({ y }) => y.map((y) => ({ y })))];
    Object.assign(layout.yaxis, valueAxis(seen, tickText[figure.id] === size ? 2 : 10, tickText[figure.id]));
    if (figure.id === "speedup") {
      if (state.baseline) layout.yaxis.title.text = `time of ${escaped(state.baseline)} / time`;
      layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: 1, y1: 1, line: { color: colour("quiet"), width: 1 } });
    }
    if (figure.id === "error") {
      layout.yaxis.title.text = state.tensor ? `relative L2 error of ${escaped(state.tensor)}` : "error of the worst tensor / budget";
    }
    if (lanes.length) setLane(layout, lanes.length, picture, colour);
    plot(element, figure, traces, layout);
    const panel = data.panels[state.panel];
    element.querySelector(".panel").textContent = panel ? panel.label : "";
    picture.setAttribute("aria-label", `${figure.title} against ${data.axis}, ${panel ? panel.label : "no rows"}; the same as a table below`);
    listMissing(element.querySelector(".missing"), found);
    tabulate(element.querySelector(".numbers .scroll"), found);
  }

  for (const id of Object.keys(tickText)) drawers[id] = draw;
})();
