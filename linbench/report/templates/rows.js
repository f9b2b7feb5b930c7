"use strict";
// The table of rows.
(() => {
  const { data, rows, count, digits, seconds, size, make, speedOfLight, paged } = globalThis.linbench;
  const status = document.getElementById("status");
  const hasRoofs = Object.keys(data.roofs).length > 0;
  const command = (row) => `${data.again} --impl ${row.style.quoted} ${row.case.arguments}`;
  for (const row of rows) {
    row.text = [row.name, row.status, row.reason, ...row.flags, ...data.columns.map((name) => `${name}=${row.case[name]}`)]
      .join(" ").toLowerCase();
  }

  function errorText(row) {
    if (!row.worst) return "";
    const [error, budget, nonfinite] = row.errors[row.worst];
    const value = error === null || nonfinite ? `${count(nonfinite)} not finite` : digits(error);
    const further = row.approximation === null ? "" : `, approximation ${digits(row.approximation)}`;
    return `${row.worst} ${value} (${digits(budget)})${further}`;
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
      ...(hasRoofs ? [make("td", speedOfLight(row), "value")] : []),
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

  const { listed, filter } = paged(rows, rowElement, (row) => !status.value || row.status === status.value);
  status.addEventListener("change", filter);

  Object.assign(globalThis.linbench, { listed, command });
})();
