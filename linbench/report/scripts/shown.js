// The rows that figures show and their values, for the current panel, baseline, tensor and lines.
import { classify, data, panel, rowsOf, state, valueOf } from "./data.js";

/** Return whether the current choice of lines includes an implementation. */
export function isOffered(number) {
  if (state.lines === "fastest") return panel().fastest.includes(number);
  return state.lines === "every" || state.lines === `of ${data.implementations[number].operator}`;
}

/** Return whether an implementation is drawn. */
export const isDrawn = (number) => isOffered(number) && !state.hidden.has(number);

/** Return the rows of the current panel, including hidden ones. */
export const panelRows = () => (panel() ? rowsOf(panel()) : []);

/** Return a function that returns the speed-up of a row of a panel: {y, low, high, text, ratio, heat}. */
export function speedups(ofPanel) {
  const columns = ofPanel.speedups[state.baseline], { time } = data.values;
  const indices = new Map(ofPanel.rows.map((number, index) => [number, index]));
  return ({ number }) => {
    const index = indices.get(number);
    if (time.y[number] === null) return { y: null, text: time.text[number] };
    if (!columns || columns.y[index] === null) {
      return { y: null, text: `${data.implementations[state.baseline].name} has no time at this value` };
    }
    const value = { y: columns.y[index], low: columns.low[index], high: columns.high[index] };
    const text = `${columns.ratio[index]} ${columns.interval[index]}`;
    return { ...value, text, ratio: columns.ratio[index], heat: columns.heat[index] };
  };
}

function pareto(row) {
  const time = valueOf(data.values.time, row), error = valueOf(data.errors[state.tensor].values, row);
  if (time.y === null || error.y === null) return { y: null, text: time.y === null ? time.text : error.text };
  return { x: time.y, y: error.y, text: `${time.text}; ${error.text}` };
}

/** Return a function that returns the value of a row in a figure. */
export function valueIn(id) {
  if (id === "speedup") return speedups(panel());
  if (id === "pareto") return pareto;
  const columns = {
    ...data.values,
    error: data.errors[state.tensor].values,
    position: data.positions.values,
    parts: data.parts.values,
    roofline: data.points.values,
  };
  return (row) => valueOf(columns[id], row);
}

/** Return the drawn rows of a figure as points, marks, and rows that it cannot show. */
export function figureRows(figure) {
  if (!panel()) return classify([], []);
  return classify(panelRows().filter((row) => isDrawn(row.implementation)), panel().xs, valueIn(figure.id));
}
