// The data of the page, and the state of its controls.
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

/** Return the current panel; undefined for a run without rows. */
export const panel = () => data.panels[state.panel];

/** Return the rows of a panel. */
export const rowsOf = ({ rows: numbers }) => numbers.map((number) => rows[number]);

/** Return the text of a value of the axis. */
export const axisText = (x) => data.axis_texts[x].full;

/** Return the value of a row in columns, with the ends of its interval and its text. */
export function valueOf({ y, low, high, text }, { number }) {
  return { y: y[number], low: low[number], high: high[number], text: text[number] };
}

/**
 * Divide rows into points to draw, failures to mark, and rows that a figure cannot show.
 *
 * `value` returns {y, low, high, text} of a row; if y is null, text is the reason.
 */
export function classify(all, xs, value) {
  const classes = { points: [], marks: [], absent: [], xs };
  for (const row of all) {
    const result = value(row);
    if (result.y !== null) classes.points.push({ row, ...result });
    else if (row.failed) classes.marks.push({ row });
    else classes.absent.push({ row, reason: row.reason && row.status !== "ok" ? row.reason : result.text });
  }
  return classes;
}

/** Return points in groups, in the order in which each key first appears. */
export function groups(points, key) {
  const groupOf = new Map();
  for (const point of points) {
    const name = key(point);
    if (!groupOf.has(name)) groupOf.set(name, []);
    groupOf.get(name).push(point);
  }
  return [...groupOf.values()];
}

export const byImplementation = (points) => groups(points, ({ row }) => row.implementation);
