"use strict";
// How far each implementation gets along the axis before it is out of memory.
(() => {
  const {
    data, state, count, shortCount, escaped, hover, theme, canvas, plot, setBars, listMissing, tabled, drawn,
    panelRows, measuredAxis, drawers,
  } = globalThis.linbench;

  const said = ({ largest, refused, reason }) =>
    (refused === null ? `never out of memory here, ok up to ${count(largest)}` : `not at ${data.axis} = ${count(refused)}: ${reason}`);

  /** Return a bar each, from below every value that was measured to the largest that fits. */
  function bars(fitting, from, colour) {
    return {
      type: "bar", orientation: "h", name: "largest that fits", y: fitting.map(({ name }) => name),
      base: fitting.map(() => from), x: fitting.map(({ largest }) => largest - from),
      marker: { color: fitting.map(({ style }) => colour(`series-${style.colour}`)) }, width: 0.55,
      hoverinfo: "text", hovertext: fitting.map((one) => one.hover), textposition: "none",
    };
  }

  /** Return the ends: a cross at the first value that was refused, an arrow where none was. */
  function ends(members, colour, refused) {
    const colours = members.map(({ style }) => colour(`series-${style.colour}`));
    return {
      type: "scatter", mode: "markers+text", name: refused ? "out of memory" : "never out of memory", cliponaxis: false,
      x: members.map((one) => (refused ? one.refused : one.largest)), y: members.map(({ name }) => name),
      marker: { symbol: refused ? "x-thin" : "triangle-right", size: refused ? 9 : 16, color: colours, line: { color: colours, width: refused ? 2 : 0 } },
      text: members.map((one) => (refused ? `\u00a0${shortCount(one.refused)}` : `≥ ${shortCount(one.largest)}`)),
      textposition: "middle right", textfont: { color: colour("ink"), size: 11 },
      hoverinfo: "text", hovertext: members.map((one) => one.hover),
    };
  }

  drawers.reach = (element, figure) => {
    const panel = data.panels[state.panel], rows = panelRows().filter((row) => drawn(row.implementation)), colour = theme();
    const found = panel.reach.filter(({ implementation, largest, refused }) => drawn(implementation) && (largest ?? refused) !== null)
      .map((one) => {
        const style = data.implementations[one.implementation];
        const row = { name: style.name, x: one.largest ?? one.refused, flags: [] };
        return { ...one, style, name: escaped(style.name), hover: hover(row, said(one)) };
      })
      .sort((a, b) => (a.largest ?? 0) - (b.largest ?? 0) || (a.refused ?? Infinity) - (b.refused ?? Infinity));
    const shown = new Set(found.map(({ implementation }) => implementation));
    const xs = [...new Set(rows.map((row) => row.x))].sort((a, b) => a - b), from = xs[0] / 2;
    const bounded = found.filter(({ refused }) => refused !== null), free = found.filter(({ refused }) => refused === null);
    const layout = canvas(figure, colour), picture = element.querySelector(".plot");
    const axis = measuredAxis(xs, picture);
    Object.assign(layout.xaxis, axis, { range: [Math.log10(from), axis.range[1]] });
    Object.assign(layout.yaxis, { type: "category", categoryorder: "array", categoryarray: found.map(({ name }) => name), automargin: true, title: { text: "" } });
    setBars(element, layout, found.length);
    layout.margin = { ...layout.margin, l: 10, r: 56 };
    plot(element, figure, [bars(found.filter(({ largest }) => largest !== null), from, colour), ends(bounded, colour, true), ends(free, colour, false)], layout);
    element.querySelector(".panel").textContent = panel.label;
    picture.setAttribute("aria-label", `Largest ${data.axis} of each implementation before it is out of memory, ${panel.label}; the same as a table below`);
    listMissing(element.querySelector(".missing"), {
      marks: [], points: [], absent: rows.filter((row) => !shown.has(row.implementation)).map((row) => ({ row, why: row.reason })),
    });
    const lines = found.slice().reverse().map((one) => [one.style.name, one.largest === null ? "none" : count(one.largest), one.refused === null ? "never here" : count(one.refused), one.reason || "–"]);
    element.querySelector(".numbers .scroll").replaceChildren(tabled(["Implementation", `Largest ${data.axis}`, `Out of memory at ${data.axis}`, "Reason"], lines));
  };
})();
