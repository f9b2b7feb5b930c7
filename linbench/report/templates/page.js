"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const rows = data.rows.map((values, number) => {
    const row = Object.fromEntries(data.rowColumns.map((name, index) => [name, values[index]]));
    row.number = number;
    row.style = data.implementations[row.implementation];
    row.name = row.style.name;
    row.case = data.cases[row.case];
    row.x = row.case[data.axis];
    row.failed = data.failures.includes(row.status);
    return row;
  });
  const state = { panel: 0, baseline: data.baseline, tensor: "", hidden: new Set() };
  const PAPER_WIDTH = 660;
  const drawers = {};
  const atShow = [];
  const byId = (id) => document.getElementById(id);

  // Numbers, as linbench.report.format writes them.

  function digits(value) {
    if (!Number.isFinite(value)) return "–";
    if (value === 0) return "0";
    const rounded = Number(value.toPrecision(3));
    const magnitude = Math.floor(Math.log10(Math.abs(rounded)));
    if (magnitude < -3) return value.toExponential(1);
    return magnitude < 3 ? rounded.toFixed(2 - magnitude) : count(rounded);
  }
  const count = (value) => String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
  function shortCount(value) {
    if (value >= 2 ** 20 && value % 2 ** 20 === 0) return `${value / 2 ** 20}M`;
    if (value >= 1024 && value % 1024 === 0) return `${value / 1024}k`;
    return count(value);
  }
  function interval(value, low, high, units) {
    const [scale, unit] = units.find(([scale]) => Math.abs(value) >= scale) || units[units.length - 1];
    return `${digits(value / scale)}${unit} [${digits(low / scale)}, ${digits(high / scale)}]`;
  }
  const SECONDS = [[1, " s"], [1e-3, " ms"], [1e-6, " µs"], [1e-9, " ns"]];
  const seconds = (row) => interval(row.median, row.low, row.high, SECONDS);
  function size(value) {
    for (const [power, unit] of [[40, "TiB"], [30, "GiB"], [20, "MiB"], [10, "KiB"]]) {
      if (value >= 2 ** power) return `${digits(value / 2 ** power)} ${unit}`;
    }
    return `${value} B`;
  }

  function rate(value) {
    const [scale, unit] = [[1e9, " G"], [1e6, " M"], [1e3, " k"]].find(([scale]) => value >= scale) || [1, ""];
    return `${digits(value / scale)}${unit}`;
  }

  const tickText = {
    time: (value) => interval(value, value, value, SECONDS).split(" [")[0],
    memory: size,
    speedup: (value) => `${digits(value)}×`,
    error: digits,
    throughput: (value) => rate(value),
    state: size,
  };

  // What a figure shows of a row: {y, low, high, text}, or {why} where it has nothing to draw.

  const measures = {
    time(row) {
      if (row.median === null) return { why: "it was not timed" };
      return { y: row.median, low: row.low, high: row.high, text: `${seconds(row)}, n = ${row.n}` };
    },
    memory(row) {
      if (row.extra === null) return { why: "its memory was not recorded" };
      return { y: row.extra, text: `${size(row.extra)} (${row.meter})` };
    },
    speedup(row, context) {
      const base = context.baseline.get(row.x);
      if (row.median === null) return { why: "it was not timed" };
      if (!base) return { why: `${state.baseline} has no time there` };
      const ratio = base.median / row.median;
      const log = (above, below) => (below > 0 ? Math.log(above / below) : Infinity);
      const down = Math.hypot(log(base.median, base.low), log(row.high, row.median));
      const up = Math.hypot(log(base.high, base.median), log(row.median, row.low));
      const [low, high] = row.name === state.baseline ? [1, 1] : [ratio * Math.exp(-down), ratio * Math.exp(up)];
      return { y: ratio, low, high, text: interval(ratio, low, high, [[1, "×"], [0, "×"]]) };
    },
    throughput(row) {
      if (row.median === null) return { why: "it was not timed" };
      const [y, low, high] = [row.median, row.high, row.low].map((time) => row.case.tokens / time);
      return { y, low, high, text: `${rate(y)} [${rate(low)}, ${rate(high)}] tokens/s` };
    },
    state(row) {
      if (row.state === null) return { why: "its state was not recorded" };
      return { y: row.state, text: row.state ? size(row.state) : "without a state" };
    },
    error(row) {
      const name = state.tensor || row.worst;
      const found = name && row.errors[name];
      if (!found) return { why: state.tensor ? `it has no ${state.tensor}` : "its error was not recorded" };
      const [error, budget, nonfinite] = found;
      if (error === null || nonfinite) return { why: `${name} has ${count(nonfinite)} elements that are not finite` };
      const text = `${name}: ${digits(error)}, budget ${digits(budget)}`;
      return { y: state.tensor ? error : error / budget, text };
    },
  };

  function panelRows() {
    const panel = data.panels[state.panel];
    return panel ? panel.rows.map((number) => rows[number]) : [];
  }

  /** Sort the rows of the panel into points to draw, failures to mark and rows that a figure cannot show. */
  function sorted(figure) {
    const all = panelRows();
    const baseline = new Map(all.filter((row) => row.name === state.baseline && row.median > 0).map((row) => [row.x, row]));
    const found = { points: [], marks: [], absent: [], xs: [...new Set(all.map((row) => row.x))].sort((a, b) => a - b) };
    for (const row of all) {
      if (state.hidden.has(row.implementation)) continue;
      const value = measures[figure.id](row, { baseline });
      if (value.y > 0 && Number.isFinite(value.y)) found.points.push({ row, ...value });
      else if (row.failed) found.marks.push({ row });
      else if (row.reason && row.status !== "ok") found.absent.push({ row, why: row.reason });
      else found.absent.push({ row, why: value.why || `it is ${value.text}, which a log axis cannot show` });
    }
    return found;
  }

  // Plotly reads a little HTML in its labels: names and reasons go in escaped.

  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const wrapped = (text) =>
    (text.match(/.{1,56}(?:\s|$)|\S{56}|\S+/g) || []).slice(0, 8).map((line) => escaped(line.trim())).join("<br>");
  function hover(row, text) {
    const flags = row.flags.length ? `<br>${wrapped(`flagged: ${row.flags.join(", ")}`)}` : "";
    return `<b>${wrapped(row.name)}</b><br>${data.axis} = ${count(row.x)}<br>${wrapped(text)}${flags}`;
  }

  function theme() {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  }

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

  function groups(points, key) {
    const found = new Map();
    for (const point of points) found.set(key(point), [...(found.get(key(point)) || []), point]);
    return [...found.values()];
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

  /** Return ticks for a log axis over some values: powers of the base, or 1, 2 and 5 times these where few fit. */
  function logTicks(values, base, text) {
    const log = (value) => Math.log(value) / Math.log(base);
    const low = Math.floor(log(Math.min(...values))), high = Math.ceil(log(Math.max(...values)));
    const step = [1, 2, 5, 10].find((step) => (high - low) / step <= 7) || 20;
    const within = base === 10 && high - low <= 3 ? [1, 2, 5] : [1];
    const ticks = [];
    for (let power = Math.floor(low / step) * step; power <= high + step; power += step) {
      ticks.push(...within.map((digit) => Number((digit * base ** power).toPrecision(12))));
    }
    return { tickvals: ticks, ticktext: ticks.map((value) => text(value).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, "")) };
  }

  /** Return a figure's layout in the colours of the reader's theme. */
  function canvas(figure, colour) {
    const layout = structuredClone(figure.layout);
    const axis = { gridcolor: colour("grid"), linecolor: colour("line"), zeroline: false, showline: true, ticks: "outside", tickcolor: colour("line") };
    Object.assign(layout, {
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 }, align: "left" },
      dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
      shapes: [],
      annotations: [],
    });
    if (document.documentElement.classList.contains("printing")) layout.width = PAPER_WIDTH;
    Object.assign(layout.xaxis, axis);
    Object.assign(layout.yaxis, axis);
    return layout;
  }

  function render(element, figure, traces, layout) {
    if (!traces.some(({ x }) => x.length) && !layout.annotations.length) {
      layout.annotations.push({ text: "nothing to draw here", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false });
    }
    Plotly.react(element.querySelector(".plot"), traces, layout, {
      displaylogo: false,
      responsive: true,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      toImageButtonOptions: { format: "svg", filename: `linbench-${figure.id}` },
    });
  }

  function draw(element) {
    const figure = data.figures.find(({ id }) => id === element.dataset.figure);
    const other = drawers[element.dataset.figure];
    if (other) {
      other(element, figure);
      return;
    }
    const found = sorted(figure);
    const colour = theme();
    const paint = (row) => colour(`series-${row.style.colour}`);
    const plot = element.querySelector(".plot");
    const wide = plot.clientWidth / Math.max(1, found.xs.length) > 62;

    const right = found.points.filter(({ row }) => !row.failed);
    const wrong = found.points.filter(({ row }) => row.failed);
    const lanes = groups(found.marks, ({ row }) => row.implementation);
    const traces = groups(right, ({ row }) => row.implementation).map((points) => line(points, found.xs, paint(points[0].row)));
    const limits = figure.id === "error" ? budgets(found.points, found.xs, colour("quiet")) : [];
    traces.unshift(...limits);
    for (const marks of groups(wrong, ({ row }) => row.implementation)) traces.push(crosses(marks, null, paint(marks[0].row), false));
    lanes.forEach((marks, lane) => traces.push(crosses(marks, lanes.length - 1 - lane, paint(marks[0].row), wide)));

    const layout = canvas(figure, colour);
    const ticks = thinned(found.xs, Math.max(2, Math.floor((plot.clientWidth - 96) / 44)));
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
      const share = Math.min(0.4, Math.max(34, 13 * lanes.length) / (plot.clientHeight - 60));
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
    if (!found.points.length && !lanes.length) {
      layout.annotations.push({ text: "nothing to draw here", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false });
    }
    render(element, figure, traces, layout);
    const panel = data.panels[state.panel];
    element.querySelector(".panel").textContent = panel ? panel.label : "";
    plot.setAttribute("aria-label", `${figure.title} against ${data.axis}, ${panel ? panel.label : "no rows"}; the same as a table below`);
    listMissing(element.querySelector(".missing"), found);
    tabulate(element.querySelector(".numbers .scroll"), found);
  }

  // The words and the table behind a figure.

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function listMissing(details, { marks, points, absent }) {
    const missing = [
      ...[...marks, ...points.filter(({ row }) => row.failed)].map(({ row }) => ({ row, why: row.reason })),
      ...absent,
    ];
    details.hidden = !missing.length;
    details.querySelector("summary").textContent = `Failed or not measured, and why (${count(missing.length)})`;
    const items = groups(missing, ({ row, why }) => [row.implementation, row.status, why].join("\n")).map((members) => {
      const { row, why } = members[0];
      const xs = members.map((member) => count(member.row.x)).join("; ");
      return make("li", `${row.name}, ${row.status} at ${data.axis} = ${xs}: ${why}`, row.failed ? "failed" : "");
    });
    details.querySelector("ul").replaceChildren(...items);
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

  /** Return a table of texts; the first of each line is its heading. */
  function tabled(headings, lines) {
    const table = make("table"), head = make("thead"), body = make("tbody"), top = make("tr");
    top.append(...headings.map((text) => make("th", text)));
    for (const heading of top.children) heading.scope = "col";
    for (const [name, ...texts] of lines) {
      const tr = make("tr"), heading = make("th", name);
      heading.scope = "row";
      tr.append(heading, ...texts.map((text) => make("td", text, "value")));
      body.append(tr);
    }
    head.append(top);
    table.append(head, body);
    return table;
  }

  // Figures are drawn when they come into view, and again when what they show has changed.

  const figures = [...document.querySelectorAll("[data-figure]")];
  const inView = new Set(), stale = new Set(figures);
  function refresh() {
    for (const element of figures) {
      if (!inView.has(element) || !stale.has(element)) continue;
      stale.delete(element);
      draw(element);
    }
  }
  function redraw() {
    for (const element of figures) stale.add(element);
    refresh();
  }
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target);
    refresh();
  }, { rootMargin: "150px" });
  for (const element of figures) observer.observe(element);

  // Controls.

  const selects = [...document.querySelectorAll("[data-setting]")];

  /** Show the panel that has the setting just chosen and shares the most others with what was shown. */
  function choose(changed) {
    const wanted = Object.fromEntries(selects.map((select) => [select.dataset.setting, select.value]));
    const likeness = ({ settings }) => selects.filter(({ dataset: { setting } }) => settings[setting] === wanted[setting]).length;
    const allowed = data.panels.filter(({ settings }) => settings[changed.dataset.setting] === changed.value);
    const best = allowed.reduce((best, panel) => (likeness(panel) > likeness(best) ? panel : best));
    show(data.panels.indexOf(best));
  }

  function show(number) {
    state.panel = number;
    const panel = data.panels[number];
    for (const select of selects) select.value = panel.settings[select.dataset.setting];
    const tensors = [...new Set(panelRows().flatMap((row) => Object.keys(row.errors)))];
    if (!tensors.includes(state.tensor)) state.tensor = "";
    const options = [["", "worst tensor"], ...tensors.map((name) => [name, name])].map(([value, text]) => {
      const option = make("option", text);
      option.value = value;
      option.selected = value === state.tensor;
      return option;
    });
    byId("tensor").replaceChildren(...options);
    for (const act of atShow) act();
    redraw();
  }

  for (const select of selects) select.addEventListener("change", () => choose(select));
  byId("baseline").addEventListener("change", (event) => { state.baseline = event.target.value; redraw(); });
  byId("tensor").addEventListener("change", (event) => { state.tensor = event.target.value; redraw(); });
  for (const box of document.querySelectorAll(".legend input")) {
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](Number(box.value));
      redraw();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("printing", printing);
      for (const element of figures) draw(element);
    });
  }

  // The table of rows, a page at a time.

  const PAGE = 50;
  const listed = { rows, first: 0 };
  const command = (row) => `${data.again} --impl ${row.style.quoted} ${row.case.arguments}`;
  for (const row of rows) {
    row.text = [row.name, row.status, row.reason, ...row.flags, ...data.columns.map((name) => `${name}=${row.case[name]}`)]
      .join(" ").toLowerCase();
  }

  function errorText(row) {
    if (!row.worst) return "";
    const [error, budget, nonfinite] = row.errors[row.worst];
    const value = error === null || nonfinite ? `${count(nonfinite)} not finite` : digits(error);
    return `${row.worst} ${value} (${digits(budget)})`;
  }

  function rowElement(row) {
    const tr = make("tr");
    tr.dataset.row = row.number;
    tr.append(make("td", row.name, "name"));
    for (const name of data.columns) {
      const number = typeof row.case[name] === "number";
      tr.append(make("td", number ? count(row.case[name]) : row.case[name], number ? "number" : ""));
    }
    tr.append(
      make("td", row.status, row.failed ? "failed" : ""),
      make("td", row.median === null ? "" : seconds(row), "value"),
      make("td", row.n ? count(row.n) : "", "number"),
      make("td", row.extra === null ? "" : size(row.extra), "number"),
      make("td", errorText(row), "value"),
      make("td", row.flags.join(", ")),
      make("td", row.reason, "reason"),
    );
    const again = make("td", undefined, "again"), button = make("button", "Copy");
    button.type = "button";
    button.dataset.copy = "";
    button.setAttribute("aria-label", `Copy the command for ${row.name}`);
    again.append(button, " ", make("code", command(row)));
    tr.append(again);
    return tr;
  }

  function list() {
    const { first } = listed, last = Math.min(first + PAGE, listed.rows.length);
    byId("table").tBodies[0].replaceChildren(...listed.rows.slice(first, last).map(rowElement));
    byId("count").textContent = listed.rows.length
      ? `${count(first + 1)}–${count(last)} of ${count(listed.rows.length)}`
      : "no row";
    byId("previous").disabled = first === 0;
    byId("next").disabled = last === listed.rows.length;
  }

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = byId("status").value;
    listed.rows = rows.filter((row) => (!status || row.status === status) && words.every((word) => row.text.includes(word)));
    listed.first = 0;
    list();
  }

  byId("search").addEventListener("input", filter);
  byId("status").addEventListener("change", filter);
  byId("previous").addEventListener("click", () => { listed.first -= PAGE; list(); });
  byId("next").addEventListener("click", () => { listed.first += PAGE; list(); });
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());

  /** Copy the code beside a button; where there is no clipboard, select it. */
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches("[data-copy]")) return;
    const code = target.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      target.textContent = "Copied";
      setTimeout(() => { target.textContent = "Copy"; }, 1500);
    } catch {
      target.textContent = "Selected";
    }
  });

  // What the other families of figures draw with.
  globalThis.linbench = {
    data, rows, state, count, digits, seconds, size, make, measures, drawers, redraw,
    sorted, listMissing, escaped, hover, theme, canvas, plot: render, logTicks, tabled, panelRows, atShow, listed, command,
  };

  list();
  if (data.panels.length) addEventListener("DOMContentLoaded", () => show(0));
})();
