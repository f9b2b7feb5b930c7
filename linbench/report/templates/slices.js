"use strict";
// Figures of one value of the axis: error against time, error along T, and what the memory is made of.
(() => {
  const {
    data, state, count, digits, seconds, size, make, measures, drawers, redraw,
    sorted, listMissing, escaped, hover, theme, canvas, plot, setBars, logTicks, tabled, panelRows, atShow, crosses, setLane, thinned,
  } = globalThis.linbench;
  const select = document.getElementById("at");
  const LETTER_WIDTH = 5.6, TICK_WIDTH = 80, UP = 10;  // pixels, pixels, ticks
  const PARTS = [["output", "outputs", ""], ["saved", "kept for backward", "/"], ["workspace", "workspace", "x"]];

  measures.pareto = (row, context) => {
    const time = measures.time(row, context), error = measures.error(row, context);
    if (time.why || error.why) return { why: time.why || error.why };
    if (!(time.y > 0)) return { why: "its time is zero, which a log axis cannot show" };
    return { y: error.y, text: `${time.text}; ${error.text}` };
  };
  measures.position = (row) => {
    if (!row.along.some((value) => value > 0)) return { why: "its error by position was not recorded" };
    return { y: Math.max(...row.along), text: `${row.worst}: at most ${digits(Math.max(...row.along))}` };
  };
  measures.parts = (row) => {
    if (row.output === null) return { why: "the parts of its memory were not recorded" };
    const parts = PARTS.map(([name, text]) => `${text} ${size(row[name])}`);
    return { y: row.extra, text: `${size(row.extra)}: ${parts.join(", ")}` };
  };

  const at = () => Number(select.value);

  /** Return what there is at the chosen value, as `sorted` has it. */
  function found(figure) {
    const all = sorted(figure);
    const here = ({ row }) => row.x === at();
    return { points: all.points.filter(here), marks: all.marks.filter(here), absent: all.absent.filter(here), xs: [at()] };
  }

  function finish(element, figure, { marks, points, absent }, headings, lines) {
    const { label } = data.panels[state.panel];
    element.querySelector(".panel").textContent = `${data.axis} = ${count(at())} · ${label}`;
    const picture = element.querySelector(".plot");
    picture.setAttribute("aria-label", `${figure.title} at ${data.axis} = ${count(at())}, ${label}; the same as a table below`);
    listMissing(element.querySelector(".missing"), { marks, points, absent });
    element.querySelector(".numbers .scroll").replaceChildren(tabled(headings, lines));
  }

  /** Return at most `most` ticks for a log axis, and a range from the tick below every value to the one above. */
  function snug(values, text, most = UP) {
    const found = logTicks(values, 10, text);
    const low = found.tickvals.findLast((tick) => tick <= Math.min(...values));
    const high = found.tickvals.find((tick) => tick >= Math.max(...values));
    const within = found.tickvals.filter((tick) => tick >= low && tick <= high);
    const shown = (tick) => found.ticktext[found.tickvals.indexOf(tick)];
    return { tickvals: thinned(within, most), ticktext: thinned(within, most).map(shown), range: [Math.log10(low) - 0.04, Math.log10(high) + 0.04] };
  }

  /** Return crosses in a lane at the top edge, one an implementation that failed, with its name and status. */
  function failed(marks, element, layout, colour) {
    if (!marks.length) return [];
    const picture = element.querySelector(".plot");
    const texts = marks.map(({ row }) => `\u00a0${row.name} ${row.status}`);
    const width = 28 + LETTER_WIDTH * Math.max(...texts.map(({ length }) => length));
    const most = Math.max(1, Math.floor((picture.clientWidth - layout.margin.l - layout.margin.r) / width));
    const lines = Math.ceil(marks.length / most), columns = Math.ceil(marks.length / lines);
    setLane(layout, lines, picture, colour);
    layout.xaxis2 = { anchor: "y2", range: [-0.1, columns - 0.1], visible: false, fixedrange: true };
    return marks.map((mark, index) => ({
      ...crosses([mark], lines - 1 - Math.floor(index / columns), paint(mark.row, colour), true),
      x: [index % columns], xaxis: "x2", text: [escaped(texts[index])], textposition: "middle right",
    }));
  }

  const paint = (row, colour) => colour(`series-${row.style.colour}`);
  const dot = (row, colour) => ({
    color: paint(row, colour), size: 11, symbol: row.style.marker + (row.flags.length ? "-open" : ""),
  });

  globalThis.linbench.slice = { found, finish, snug, paint, dot }; // for the roofline

  drawers.pareto = (element, figure) => {
    const here = found(figure), { points } = here, colour = theme();
    const beats = (one, two) => one.row.median <= two.row.median && one.y <= two.y && (one.row.median < two.row.median || one.y < two.y);
    const front = points.filter((point) => !points.some((other) => beats(other, point))).sort((a, b) => a.row.median - b.row.median);
    const traces = [{
      type: "scatter", mode: "lines", name: "front", x: front.map(({ row }) => row.median), y: front.map(({ y }) => y),
      line: { color: colour("quiet"), width: 1.4, dash: "dot", shape: "hv" }, hoverinfo: "skip",
    }];
    for (const point of points) {
      traces.push({
        type: "scatter", mode: "markers", name: escaped(point.row.name), x: [point.row.median], y: [point.y],
        marker: dot(point.row, colour), hoverinfo: "text", hovertext: [hover(point.row, point.text)],
      });
    }
    const layout = canvas(figure, colour);
    traces.push(...failed(here.marks, element, layout, colour));
    layout.xaxis.visible = points.length > 0;
    if (points.length) {
      const across = Math.max(2, Math.floor(element.querySelector(".plot").clientWidth / TICK_WIDTH));
      Object.assign(layout.xaxis, snug(points.map(({ row }) => row.median), (value) => seconds({ median: value, low: value, high: value }).split(" [")[0], across));
      Object.assign(layout.yaxis, snug(points.map(({ y }) => y), digits));
    }
    layout.yaxis.title.text = state.tensor ? `relative L2 error of ${escaped(state.tensor)}` : "error of the worst tensor / budget";
    plot(element, figure, traces, layout);
    finish(element, figure, here, ["Implementation", "Time [95%]", "Error", "On the front"],
      [
        ...points.map((point) => [point.row.name, seconds(point.row), measures.error(point.row).text, front.includes(point) ? "yes" : "no"]),
        ...here.marks.map(({ row }) => [row.name, row.status, "–", "no"]),
      ]);
  };

  /** Return the first and the last token of a stretch of T. */
  function stretch(index, parts) {
    return [Math.floor((index * at()) / parts) + 1, Math.floor(((index + 1) * at()) / parts)];
  }

  drawers.position = (element, figure) => {
    const here = found(figure), { points } = here, colour = theme();
    const cross = (row) => ({ color: paint(row, colour), size: 8, symbol: "x-thin", line: { color: paint(row, colour), width: 2 } });
    const ended = (row) => (row.failed ? `; ${row.status}: ${row.reason}` : "");
    const traces = points.map(({ row }) => ({
      type: "scatter", mode: "lines+markers", name: escaped(row.name),
      x: row.along.map((_, index) => stretch(index, row.along.length).reduce((a, b) => a + b) / 2), y: row.along,
      line: { color: paint(row, colour), width: 1.6, dash: row.style.dash }, marker: row.failed ? cross(row) : { ...dot(row, colour), size: 7 },
      hoverinfo: "text",
      hovertext: row.along.map((value, index) => hover(row, `${row.worst}, tokens ${stretch(index, row.along.length).map(count).join(" to ")}: ${digits(value)}${ended(row)}`)),
    }));
    const layout = canvas(figure, colour);
    traces.push(...failed(here.marks, element, layout, colour));
    layout.xaxis.visible = points.length > 0;
    layout.xaxis.type = "linear";
    const values = points.flatMap(({ row }) => row.along).filter((value) => value > 0);
    if (values.length) Object.assign(layout.yaxis, snug(values, digits));
    plot(element, figure, traces, layout);
    const most = Math.max(0, ...points.map(({ row }) => row.along.length));
    const heading = ({ row }) => [row.name, row.worst, row.failed ? row.status : ""].filter(Boolean).join(", ");
    const value = (row, index) => (row.along[index] === undefined ? "–" : digits(row.along[index] ?? NaN));
    finish(element, figure, here, ["Tokens", ...[...points, ...here.marks].map(heading)],
      Array.from({ length: most }, (_, index) => [stretch(index, most).map(count).join(" to "), ...[...points, ...here.marks].map(({ row }) => value(row, index))]));
  };

  drawers.parts = (element, figure) => {
    const here = found(figure), colour = theme();
    const points = here.points.slice().sort((a, b) => b.y - a.y);
    const traces = PARTS.map(([name, text, shape], index) => ({
      type: "bar", orientation: "h", name: text, y: points.map(({ row }) => escaped(row.name)), x: points.map(({ row }) => row[name]),
      marker: { color: colour(`series-${index}`), pattern: { shape, fillmode: "overlay", fgcolor: colour("page"), fgopacity: 0.55, size: 6 } },
      hoverinfo: "text", hovertext: points.map(({ row, text }) => hover(row, text)), textposition: "none",
    }));
    const most = Math.max(1, ...points.map(({ y }) => y)), step = 2 ** Math.ceil(Math.log2(most / 5));
    const names = [...here.marks, ...points].map(({ row }) => escaped(row.name));
    for (const mark of here.marks) {
      traces.push({
        ...crosses([mark], null, paint(mark.row, colour), false), x: [most / 60], y: [escaped(mark.row.name)],
        mode: "markers+text", text: [`\u00a0${mark.row.status}`], textposition: "middle right", showlegend: false,
      });
    }
    const layout = canvas(figure, colour);
    Object.assign(layout, { barmode: "stack", showlegend: true, legend: { orientation: "h", yanchor: "bottom", y: 1.01, x: 0 }, bargap: 0.35 });
    layout.margin = { ...layout.margin, l: 10, t: 66 };
    const ticks = Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
    Object.assign(layout.xaxis, { type: "linear", rangemode: "tozero", tickvals: ticks, ticktext: ticks.map((value) => size(value).replace(/\.0+(?= )/, "")) });
    Object.assign(layout.yaxis, { type: "category", categoryorder: "array", categoryarray: names, automargin: true, title: { text: "" } });
    setBars(element, layout, names.length);
    plot(element, figure, traces, layout);
    finish(element, figure, here, ["Implementation", "Above the inputs", ...PARTS.map(([, text]) => text), "state, given or returned"],
      [
        ...points.map(({ row }) => [row.name, size(row.extra), ...PARTS.map(([name]) => size(row[name])), row.state === null ? "–" : size(row.state)]),
        ...here.marks.map(({ row }) => [row.name, row.status, ...PARTS.map(() => "–"), "–"]),
      ]);
  };

  /** Offer the values of the panel that is shown; keep the chosen one where it is there. */
  atShow.push(() => {
    const timed = new Map();
    for (const row of panelRows()) timed.set(row.x, (timed.get(row.x) || 0) + (row.status === "ok"));
    const xs = [...timed.keys()].sort((a, b) => a - b), most = Math.max(...timed.values());
    const kept = xs.includes(at()) ? at() : xs.findLast((x) => timed.get(x) === most);
    select.replaceChildren(...xs.map((x) => {
      const option = make("option", count(x));
      option.value = x;
      option.selected = x === kept;
      return option;
    }));
  });
  select.addEventListener("change", redraw);
})();
