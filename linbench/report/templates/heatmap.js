"use strict";
// The heatmap is a table: its cells are read, searched and printed as text, and coloured by their speed-up.
(() => {
  const { data, rows, state, count, digits, make, measures, drawers, redraw } = globalThis.linbench;
  const ALIKE = ["mode", "dtype", "device", "options"];
  const select = document.getElementById("heat");

  /** Return the panels that differ from the shown one in shapes only. */
  function alike() {
    const { settings } = data.panels[state.panel];
    return data.panels.filter((panel) => ALIKE.every((name) => panel.settings[name] === settings[name]));
  }

  function label(settings, varying) {
    return varying.map((name) => `${name} ${settings[name]}`).join(" · ");
  }

  function cell(row, baseline) {
    if (!row) return make("td", "–", "none");
    const value = measures.speedup(row, { baseline });
    if (!(value.y > 0)) {
      const td = make("td", row.status === "ok" ? "no time" : row.status, row.failed ? "failed" : "none");
      td.title = row.reason || value.why;
      return td;
    }
    const td = make("td", `${digits(value.y)}×`, "value");
    td.dataset.heat = Math.max(-4, Math.min(4, Math.round(2 * Math.log2(value.y))));
    td.title = value.text;
    return td;
  }

  drawers.heatmap = (element) => {
    const shown = alike(), place = element.querySelector(".scroll");
    const varying = Object.keys(shown[0].settings).filter((name) => new Set(shown.map(({ settings }) => settings[name])).size > 1);
    const members = shown.map((panel) => panel.rows.map((number) => rows[number]));
    const xs = [...new Set(members.flat().map((row) => row.x))].sort((a, b) => a - b);
    const table = make("table", undefined, "heatmap"), head = make("thead"), body = make("tbody"), top = make("tr");
    top.append(make("th", `${varying.join(", ")} \\ ${data.axis}`), ...xs.map((x) => make("th", count(x), "number")));
    for (const heading of top.children) heading.scope = "col";
    shown.forEach((panel, number) => {
      const own = members[number].filter((row) => row.name === select.value);
      if (!own.length) return;
      const at = new Map(own.map((row) => [row.x, row]));
      const baseline = new Map(members[number].filter((row) => row.name === state.baseline && row.median > 0).map((row) => [row.x, row]));
      const tr = make("tr"), heading = make("th", label(panel.settings, varying) || "all");
      heading.scope = "row";
      tr.append(heading, ...xs.map((x) => cell(at.get(x), baseline)));
      body.append(tr);
    });
    head.append(top);
    table.append(head, body);
    place.replaceChildren(body.children.length ? table : make("p", "It was not measured here."));
    const { settings } = data.panels[state.panel];
    element.querySelector(".panel").textContent = `over ${state.baseline}, ${ALIKE.map((name) => settings[name]).filter(Boolean).join(" · ")}`;
  };
  if (select) {
    select.value = data.implementations.map(({ name }) => name).find((name) => name !== data.baseline);
    select.addEventListener("change", redraw);
  }
})();
