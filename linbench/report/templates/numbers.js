"use strict";
// Numbers as linbench.text.format writes them.
(() => {
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

  globalThis.linbench = { digits, count, shortCount, interval, seconds, SECONDS, size, rate };
})();
