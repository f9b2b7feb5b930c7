"use strict";
// The roofline: work over bytes against work over time, under what the machine was seen to do at most.
(() => {
  const {
    data, state, digits, seconds, size, measures, drawers, hover, escaped, theme, canvas, plot, speedOfLight, slice,
  } = globalThis.linbench;
  const LABEL_WIDTH = 36;
  const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""]];

  /** Return a rate with its unit: 12.3 GFLOP/s. */
  function rate(value, unit) {
    const [scale, prefix] = PREFIXES.find(([scale]) => value >= scale) || PREFIXES[PREFIXES.length - 1];
    return `${digits(value / scale)} ${prefix}${unit}`;
  }

  /** Return the roof of the panel that is shown. */
  function roof() {
    const { device, dtype } = data.panels[state.panel].settings;
    return data.roofs[`${device} ${dtype}`];
  }

  measures.roofline = (row) => {
    if (row.median === null) return { why: "it was not timed" };
    if (row.useful === null) return { why: "its work was not recorded" };
    if (row.bound === null) return { why: "no ceilings had been measured for it" };
    if (!(row.median > 0 && row.fewest > 0)) return { why: "its time or its bytes are zero, which a log axis cannot show" };
    return { y: row.useful / row.median, text: `${speedOfLight(row)}; ${rate(row.useful / row.median, "FLOP/s")} useful` };
  };

  /** Return the line of a roof between two intensities: bytes at a level's rate, until operations bound. */
  function roofLine([name, , bytes], flops, [left, right], colour) {
    const ridge = flops / bytes;
    const xs = [left, ...(ridge > left && ridge < right ? [ridge] : []), right];
    const text = `${name}: ${rate(bytes, "B/s")}, until ${rate(flops, "FLOP/s")} bound`;
    return {
      type: "scatter", mode: "lines", name: escaped(`roof of ${name}`), x: xs, y: xs.map((x) => Math.min(flops, x * bytes)),
      line: { color: colour("quiet"), width: name === "memory" ? 1.8 : 1.1, dash: name === "memory" ? "solid" : "dot" },
      hoverinfo: "text", hovertext: xs.map(() => text),
    };
  }

  /** Return the names of the levels where their roofs turn; those that turn close to each other share a place. */
  function labels({ flops, levels }, apart) {
    const found = [];
    for (const [name, , bytes] of levels) {
      const at = Math.log10(flops / bytes), last = found[found.length - 1];
      if (last && at < last.at + apart) last.names.push(name);
      else found.push({ names: [name], at });
    }
    return found;
  }

  drawers.roofline = (element, figure) => {
    const here = slice.found(figure), { points } = here, colour = theme(), over = roof();
    const ends = ({ row }) => [row.useful, ...(row.algorithmic > 0 ? [row.algorithmic] : [])];
    const xs = points.flatMap((point) => ends(point).map((work) => work / point.row.fewest));
    const traces = [], layout = canvas(figure, colour);
    if (points.length) {
      const ridges = over.levels.map(([, , bytes]) => over.flops / bytes);
      const axis = slice.snug([...xs, ...ridges], digits);
      const reach = axis.range.map((end) => 10 ** end);
      const apart = ((axis.range[1] - axis.range[0]) * LABEL_WIDTH) / element.querySelector(".plot").clientWidth;
      traces.push(...over.levels.map((level) => roofLine(level, over.flops, reach, colour)));
      const ys = [...points.flatMap((point) => ends(point).map((work) => work / point.row.median)), over.flops];
      Object.assign(layout.xaxis, axis);
      Object.assign(layout.yaxis, slice.snug(ys, (value) => rate(value, "")));
      layout.annotations.push(...labels(over, apart).map(({ names, at }) => ({
        text: escaped(names.join(", ")), x: at, y: Math.log10(over.flops), yanchor: "bottom", xanchor: "center",
        showarrow: false, font: { size: 11, color: colour("quiet") },
      })));
    }
    for (const point of points) {
      const { row } = point, paint = slice.paint(row, colour);
      const text = hover(row, point.text);
      const algorithmic = row.algorithmic > 0 ? `${text}<br>${rate(row.algorithmic / row.median, "FLOP/s")} of the algorithm` : text;
      traces.push({
        type: "scatter", mode: "lines+markers", name: escaped(row.name),
        x: ends(point).map((work) => work / row.fewest), y: ends(point).map((work) => work / row.median),
        line: { color: paint, width: 1.2 },
        marker: { ...slice.dot(row, colour), size: [11, 5].slice(0, ends(point).length) },
        hoverinfo: "text", hovertext: [text, algorithmic],
      });
    }
    plot(element, figure, traces, layout);
    slice.finish(element, figure, here,
      ["Implementation", "Time [95%]", "Of the speed of light [95%]", "Useful", "Of the algorithm", "Bytes", "Useful operations a byte", "Fewest bytes"],
      points.map(({ row }) => [
        row.name, seconds(row), speedOfLight(row), rate(row.useful / row.median, "FLOP/s"),
        row.algorithmic === null ? "not declared" : rate(row.algorithmic / row.median, "FLOP/s"),
        rate(row.fewest / row.median, "B/s"), digits(row.useful / row.fewest), size(row.fewest),
      ]));
  };
})();
