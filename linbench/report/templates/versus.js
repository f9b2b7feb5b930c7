"use strict";
// Two runs: the ratio of their times and both times along the axis, and the rows that both have.
(() => {
  const {
    data, pairs, state, digits, interval, seconds, SECONDS, size, groups, make, paged, listMissing, tabulate, escaped,
    theme, canvas, plot, logTicks, line, crosses, setLane, measuredAxis, valueAxis, drawers, redraw,
  } = globalThis.linbench;
  const times = (value) => `${digits(value)}×`;
  const ratioText = ({ ratio, low, high }) => interval(ratio, low, high, [[1, "×"]]);
  const secondsTick = (value) => interval(value, value, value, SECONDS).split(" [")[0];

  /** Return the pairs of the panel as points to draw, failures to mark and those that cannot be shown. */
  function sorted(value) {
    const all = data.panels[state.panel].pairs.map((number) => pairs[number]).filter(({ implementation }) => !state.hidden.has(implementation));
    const found = { points: [], marks: [], absent: [], xs: [...new Set(all.map(({ x }) => x))].sort((a, b) => a - b) };
    for (const row of all) {
      const point = value(row);
      if (point.y > 0) found.points.push({ row, ...point });
      else if (row.failed) found.marks.push({ row, text: point.text });
      else found.absent.push({ row, why: row.reason || point.why });
    }
    return found;
  }

  const views = {
    ratio: (row) => {
      if (row.ratio > 0) return { y: row.ratio, low: row.low, high: row.high, text: `${ratioText(row)}, ${row.answer}` };
      const timed = row.a.median !== null && row.b.median !== null;
      return { why: timed ? "its times are zero, or were taken with different timers" : "it was not timed in both" };
    },
    both: (row) => {
      const text = [["A", row.a], ["B", row.b]].filter(([, { median }]) => median !== null).map(([name, side]) => `${name} ${seconds(side)}`).join(", ");
      return { y: row.failed ? 0 : Math.max(row.a.median, row.b.median), text, why: "it was not timed" };
    },
  };

  /** Return ticks for ratios: even steps where they lie close to 1, else as a log axis has them. */
  function ratioAxis(points) {
    const axis = valueAxis([...points, { y: 1 }], 10, times);
    const [low, high] = axis.range.map((end) => 10 ** end);
    if (high > 3 * low) return axis;
    const step = [0.01, 0.02, 0.05, 0.1, 0.2].find((step) => (high - low) / step <= 8) || 0.5;
    const first = Math.ceil(low / step), last = Math.floor(high / step);
    const ticks = Array.from({ length: last - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(6)));
    return { ...axis, tickvals: ticks, ticktext: ticks.map(times) };
  }

  /** Return the times of one side of a pair, as points of a line. */
  function sides(found, side) {
    const name = side.toUpperCase();
    return [...found.points, ...found.marks].filter(({ row }) => row[side].median > 0).map(({ row }) => {
      const { median, low, high, n, flags } = row[side];
      return { row: { ...row, flags }, y: median, low, high, text: `${name}: ${seconds(row[side])}, n = ${n}` };
    });
  }

  function traces(id, found, colour) {
    const paint = (points) => colour(`series-${points[0].row.style.colour}`);
    const byName = (points) => groups(points, ({ row }) => row.implementation);
    if (id === "ratio") return byName(found.points).map((points) => line(points, found.xs, paint(points), ({ row }) => row.answer !== "suspect"));
    const named = (points, name, ...style) => {
      const trace = line(points, found.xs, paint(points), ...style);
      return { ...trace, name: `${trace.name}, ${name}` };
    };
    return [
      ...byName(sides(found, "a")).map((points) => named(points, "A", () => true, "dash")),
      ...byName(sides(found, "b")).map((points) => named(points, "B", () => false, "solid")),
    ];
  }

  function draw(element, figure) {
    const found = sorted(views[figure.id]), colour = theme();
    const picture = element.querySelector(".plot"), layout = canvas(figure, colour);
    const drawn = traces(figure.id, found, colour);
    const lanes = groups(found.marks, ({ row }) => row.implementation);
    lanes.forEach((marks, lane) => drawn.push(crosses(marks, lanes.length - 1 - lane, colour(`series-${marks[0].row.style.colour}`), false)));
    Object.assign(layout.xaxis, measuredAxis(found.xs, picture));
    if (figure.id === "ratio") {
      Object.assign(layout.yaxis, ratioAxis(found.points));
      layout.shapes.push({ type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: 1, y1: 1, line: { color: colour("quiet"), width: 1 } });
    } else {
      Object.assign(layout.yaxis, valueAxis([...sides(found, "a"), ...sides(found, "b")], 10, secondsTick));
    }
    if (lanes.length) setLane(layout, lanes.length, picture, colour);
    plot(element, figure, drawn, layout);
    const { label } = data.panels[state.panel];
    element.querySelector(".panel").textContent = label;
    picture.setAttribute("aria-label", `${figure.title} against ${data.axis}, ${label}; the same as a table below`);
    listMissing(element.querySelector(".missing"), { ...found, points: [] });
    tabulate(element.querySelector(".numbers .scroll"), found);
  }
  for (const id of Object.keys(views)) drawers[id] = draw;

  document.getElementById("panel").addEventListener("change", (event) => { state.panel = Number(event.target.value); redraw(); });
  for (const box of document.querySelectorAll(".legend input")) {
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](Number(box.value));
      redraw();
    });
  }

  // The rows.

  const change = (one, other) => (one === other ? one : [one || "–", other || "–"].join(" → "));
  const memory = ({ extra, meter }) => (extra === null ? "" : `${size(extra)} (${meter})`);
  const error = ({ worst, error }) => (worst ? `${worst} ${error === null ? "not finite" : digits(error)}` : "");
  const time = (side) => (side.median === null ? "" : seconds(side));

  for (const pair of pairs) {
    pair.text = [pair.name, pair.case, pair.answer, pair.status, pair.reason, ...pair.flags].join(" ").toLowerCase();
  }
  const byRatio = pairs.slice().sort((one, other) => (other.ratio ?? -1) - (one.ratio ?? -1));
  paged(byRatio, (pair) => {
    const tr = make("tr");
    tr.append(
      make("td", pair.name, "name"),
      make("td", pair.case, "value"),
      make("td", pair.ratio === null ? "" : ratioText(pair), "value"),
      make("td", pair.answer),
      make("td", time(pair.a), "value"),
      make("td", time(pair.b), "value"),
      make("td", change(memory(pair.a), memory(pair.b)), "value"),
      make("td", change(error(pair.a), error(pair.b)), "value"),
      make("td", pair.flags.join(", "), "flags"),
      make("td", pair.status, pair.failed ? "failed" : ""),
      make("td", pair.reason, "reason"),
    );
    return tr;
  });
})();
