"use strict";
// The rows, what is shown of them, and what a figure draws of one.
(() => {
  const { digits, count, interval, seconds, size, rate } = globalThis.linbench;
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
  const state = { panel: 0, baseline: data.baseline, tensor: "", lines: "every", hidden: new Set() };

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
      return { y: ratio, low, high, text: interval(ratio, low, high, [[1, "×"]]) };
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
    approximation(row) {
      if (row.approximation === null) return { why: "it approximates nothing" };
      return { y: row.approximation, text: digits(row.approximation) };
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

  /** Return the share of the speed of light of a row: 12.3% [11.9, 12.8] memory. */
  function speedOfLight(row) {
    if (row.bound === null || !(row.median > 0)) return "";
    const [value, low, high] = [row.median, row.high, row.low].map((time) => digits((100 * row.bound) / time));
    return `${value}% [${low}, ${high}] ${row.limit}`;
  }

  /** Return whether an implementation is among those that the choice of lines offers. */
  function offered(number) {
    if (state.lines === "fastest") return data.panels[state.panel].fastest.includes(number);
    return state.lines === "every" || `of ${data.implementations[number].name.split("/")[0]}` === state.lines;
  }

  const drawn = (number) => offered(number) && !state.hidden.has(number);

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
      if (!drawn(row.implementation)) continue;
      const value = measures[figure.id](row, { baseline });
      if (value.y > 0 && Number.isFinite(value.y)) found.points.push({ row, ...value });
      else if (row.failed) found.marks.push({ row });
      else if (row.reason && row.status !== "ok") found.absent.push({ row, why: row.reason });
      else found.absent.push({ row, why: value.why || `it is ${value.text}, which a log axis cannot show` });
    }
    return found;
  }

  Object.assign(globalThis.linbench, { data, rows, state, measures, panelRows, offered, drawn, sorted, speedOfLight });
})();
