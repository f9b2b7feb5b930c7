"use strict";
// The table of rows, a page at a time.
(() => {
  const { data, rows, count, digits, seconds, size, make } = globalThis.linbench;
  const byId = (id) => document.getElementById(id);
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

  Object.assign(globalThis.linbench, { listed, command });
  list();
})();
