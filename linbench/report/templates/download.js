"use strict";
// The rows that are listed, every page of them, as a CSV file in SI units.
(() => {
  const { data, listed, command } = globalThis.linbench;
  const SHAPE = ["B", "T", "H", "K", "V", "dtype", "mode", "device", "options", "seed"];
  const COLUMNS = {
    run: () => data.run,
    implementation: (row) => row.name,
    ...Object.fromEntries(SHAPE.map((name) => [name, (row) => row.case[name]])),
    status: (row) => row.status,
    reason: (row) => row.reason,
    median_s: (row) => row.median,
    ci_low_s: (row) => row.low,
    ci_high_s: (row) => row.high,
    samples: (row) => row.n,
    useful_flops: (row) => row.useful,
    algorithmic_flops: (row) => row.algorithmic,
    fewest_bytes: (row) => row.fewest,
    bound_s: (row) => row.bound,
    limit: (row) => row.limit,
    share: (row) => (row.bound === null || !(row.median > 0) ? null : row.bound / row.median),
    ...Object.fromEntries(data.memoryParts.map((name) => [`${name}_bytes`, (row) => row[name]])),
    memory_meter: (row) => row.meter,
    worst_tensor: (row) => row.worst,
    rel_l2: (row) => row.worst && row.errors[row.worst][0],
    budget: (row) => row.worst && row.errors[row.worst][1],
    approximation: (row) => row.approximation,
    flags: (row) => row.flags.join(" "),
    command,
  };

  /** Return a cell; a text that a spreadsheet would take for a formula gets an apostrophe before it. */
  function cell(value) {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    return `"${value.replace(/^(?=[=+\-@\t\r])/, "'").replace(/"/g, '""')}"`;
  }

  document.getElementById("download").addEventListener("click", () => {
    const lines = [Object.keys(COLUMNS).join(","), ...listed.rows.map((row) => Object.values(COLUMNS).map((find) => cell(find(row))).join(","))];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
    link.download = `linbench-${data.run}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
})();
