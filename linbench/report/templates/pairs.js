"use strict";
// The rows that two runs share, A's beside B's.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const named = (names, values) => Object.fromEntries(names.map((name, index) => [name, values[index]]));
  const both = (pair, text) => [["A", pair.a], ["B", pair.b]].flatMap(([name, side]) => text(side).map((one) => `${name} ${one}`));

  const pairs = data.pairs.map((values, number) => {
    const pair = named(data.pairColumns, values);
    for (const side of ["a", "b"]) pair[side] = named(data.sideColumns, pair[side]);
    pair.number = number;
    pair.style = data.implementations[pair.implementation];
    pair.name = pair.style.name;
    pair.failed = [pair.a, pair.b].some(({ status }) => data.failures.includes(status));
    pair.status = pair.a.status === pair.b.status ? pair.a.status : `${pair.a.status} → ${pair.b.status}`;
    pair.reason = both(pair, ({ status, reason }) => (reason ? [`${status}: ${reason}`] : [])).join("; ");
    pair.flags = both(pair, ({ flags }) => flags);
    return pair;
  });
  const state = { panel: 0, hidden: new Set() };

  Object.assign(globalThis.linbench, { data, pairs, state });
})();
