// What the figures of a run show of a row, by what is chosen: a panel, a baseline, a tensor, some lines.
import { data, panel, rowsOf, sorted, state, valueOf } from "./data.js";

/** Return whether an implementation is among those that the choice of lines offers. */
export function offered(number) {
  if (state.lines === "fastest") return panel().fastest.includes(number);
  return state.lines === "every" || state.lines === `of ${data.implementations[number].operator}`;
}

/** Return whether an implementation is drawn. */
export const drawn = (number) => offered(number) && !state.hidden.has(number);

/** Return the rows of the panel that is shown, those that are not drawn among them. */
export const panelRows = () => (panel() ? rowsOf(panel()) : []);

/** Return what finds the speed-up of a row of a panel: {y, low, high, text, ratio, heat}. */
export function speedups(of) {
  const over = of.speedups[state.baseline], { time } = data.values;
  const place = new Map(of.rows.map((number, index) => [number, index]));
  return ({ number }) => {
    const index = place.get(number);
    if (time.y[number] === null) return { y: null, text: time.text[number] };
    if (!over || over.y[index] === null) {
      return { y: null, text: `${data.implementations[state.baseline].name} has no time there` };
    }
    const value = { y: over.y[index], low: over.low[index], high: over.high[index] };
    const text = `${over.ratio[index]} ${over.interval[index]}`;
    return { ...value, text, ratio: over.ratio[index], heat: over.heat[index] };
  };
}

function pareto(row) {
  const time = valueOf(data.values.time, row), error = valueOf(data.errors[state.tensor].values, row);
  if (time.y === null || error.y === null) return { y: null, text: time.y === null ? time.text : error.text };
  return { x: time.y, y: error.y, text: `${time.text}; ${error.text}` };
}

/** Return what finds the value of a row in a figure. */
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

/** Return the rows that are drawn as points, marks and those that a figure cannot show. */
export function found(figure) {
  if (!panel()) return sorted([], []);
  return sorted(panelRows().filter((row) => drawn(row.implementation)), panel().xs, valueIn(figure.id));
}
