// What is drawn and listed, as Python made it, and what is shown of it.
import { decompressed } from "./compressed.js";

export const data = await decompressed("data");

export const rows = data.rows.implementation.map((implementation, number) => ({
  number,
  implementation,
  style: data.implementations[implementation],
  name: data.implementations[implementation].name,
  x: data.rows.x[number],
  status: data.rows.status[number],
  reason: data.rows.reason[number],
  flags: data.rows.flags[number],
  failed: data.rows.failed[number],
}));

export const state = { panel: 0, baseline: data.baseline, tensor: "", lines: "every", hidden: new Set() };

/** Return the panel that is shown; none of a run without rows. */
export const panel = () => data.panels[state.panel];

/** Return the rows of a panel. */
export const rowsOf = ({ rows: numbers }) => numbers.map((number) => rows[number]);

/** Return a value of the axis as it is read. */
export const axisText = (x) => data.axis_texts[x].full;

/** Return what columns hold of a row: its value, the ends of its interval, and its text. */
export function valueOf({ y, low, high, text }, { number }) {
  return { y: y[number], low: low[number], high: high[number], text: text[number] };
}

/**
 * Sort rows into points to draw, failures to mark and those that a figure cannot show.
 *
 * `value` finds {y, low, high, text} of a row: where there is nothing to draw y is null, and text says why.
 */
export function sorted(all, xs, value) {
  const found = { points: [], marks: [], absent: [], xs };
  for (const row of all) {
    const shown = value(row);
    if (shown.y !== null) found.points.push({ row, ...shown });
    else if (row.failed) found.marks.push({ row });
    else found.absent.push({ row, why: row.reason && row.status !== "ok" ? row.reason : shown.text });
  }
  return found;
}

/** Return points in groups, in the order in which each key first appears. */
export function groups(points, key) {
  const found = new Map();
  for (const point of points) {
    const name = key(point);
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(point);
  }
  return [...found.values()];
}

export const byImplementation = (points) => groups(points, ({ row }) => row.implementation);
