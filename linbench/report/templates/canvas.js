"use strict";
// What a figure is drawn on, and the words and the table behind it.
(() => {
  const { data, count } = globalThis.linbench;
  const PAPER_WIDTH = 660, BAR_HEIGHT = 17;

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

  /** Return ticks for a log axis over some values: powers of the base, or 1, 2 and 5 times these where few fit. */
  function logTicks(values, base, text) {
    const above = values.filter((value) => value > 0 && Number.isFinite(value));
    if (!above.length) return { tickvals: [], ticktext: [] };
    const log = (value) => Math.log(value) / Math.log(base);
    const low = Math.floor(log(Math.min(...above))), high = Math.ceil(log(Math.max(...above)));
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

  function plot(element, figure, traces, layout) {
    const picture = element.querySelector(".plot"), empty = !traces.some(({ x }) => x.length);
    picture.classList.toggle("empty", empty);
    if (empty) {
      layout.xaxis.visible = layout.yaxis.visible = false;
      layout.shapes = [];
      layout.annotations.push({ text: "nothing to draw here", xref: "paper", yref: "paper", x: 0.5, y: 0.5, showarrow: false });
    } else if (traces.every(({ x, yaxis }) => !x.length || yaxis === "y2")) {
      layout.yaxis.visible = false;
    }
    Plotly.react(picture, traces, layout, {
      displaylogo: false,
      responsive: true,
      modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
      toImageButtonOptions: { format: "svg", filename: `linbench-${figure.id}` },
    });
  }

  /** Give each of so many bars the room that its name needs; plotly leaves out names that are too close. */
  function setBars(element, layout, count) {
    const needed = BAR_HEIGHT * count + 110, picture = element.querySelector(".plot");
    picture.style.height = "";
    if (needed > picture.clientHeight) {
      picture.style.height = `${needed}px`;
      layout.height = needed;
    }
  }

  function make(tag, text, className) {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }

  function groups(points, key) {
    const found = new Map();
    for (const point of points) found.set(key(point), [...(found.get(key(point)) || []), point]);
    return [...found.values()];
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

  /** Set a table in a place: a line a value of the axis, a column an implementation. */
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

  Object.assign(globalThis.linbench, { escaped, hover, theme, logTicks, canvas, plot, setBars, make, groups, listMissing, tabled, tabulate });
})();
