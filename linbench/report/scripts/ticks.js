// Axes: the candidate ticks that fit, and the range of an axis.
import { data } from "./data.js";

const MOST = 8, MOST_SNUG = 10; // ticks
const MAX_BAR_RATIO = 10; // of a value to an end of its error bar
const NONE = { ticks: [], texts: [] };

/** Return the ticks of a ruler at the indices that satisfy a condition. */
function selectTicks({ ticks, texts }, condition) {
  const indices = ticks.map((_, index) => index).filter(condition);
  return { tickvals: indices.map((index) => ticks[index]), ticktext: indices.map((index) => texts[index]) };
}

/** Return the finest ticks between two values that are not too many. */
export function fitting(rulers, low, high, most = MOST) {
  const within = (ruler) =>
    selectTicks(ruler, (index) => ruler.ticks[index] >= low && ruler.ticks[index] <= high);
  const candidates = rulers.map(within);
  return candidates.find(({ tickvals }) => tickvals.length <= most) || candidates.at(-1) || within(NONE);
}

/** Return the finest ticks that enclose all values, and their range. */
export function snug(rulers, values, most = MOST_SNUG) {
  const least = Math.min(...values), greatest = Math.max(...values);
  const candidates = rulers.map((ruler) => {
    const first = ruler.ticks.findLastIndex((tick) => tick <= least);
    const last = ruler.ticks.findIndex((tick) => tick >= greatest);
    return selectTicks(ruler, (index) => index >= first && index <= last);
  });
  const axis = candidates.find(({ tickvals }) => tickvals.length <= most) || candidates.at(-1);
  return { ...axis, range: [Math.log10(axis.tickvals[0]) - 0.04, Math.log10(axis.tickvals.at(-1)) + 0.04] };
}

/** Return the log axis of the measured values, with ticks at as many of them as fit. */
export function measuredAxis(xs, picture) {
  const most = Math.max(2, Math.floor((picture.clientWidth - 96) / 44)), step = Math.ceil(xs.length / most);
  const ticks = xs.filter((_, index) => (xs.length - 1 - index) % step === 0);
  const ends = xs.length ? [xs[0], xs.at(-1)].map(Math.log10) : [0, 1];
  const room = Math.max(0.12, (ends[1] - ends[0]) * 0.06);
  return {
    tickvals: ticks,
    ticktext: ticks.map((x) => data.axis_texts[x].short),
    range: [ends[0] - room, ends[1] + room],
  };
}

/** Return the log axis of points and their intervals; an empty object without points. */
export function valueAxis(points, rulers) {
  const positive = points.filter(({ y }) => y > 0);
  if (!positive.length) return {};
  // Long error bars are cut, so that they do not hide other points.
  const ends = positive.flatMap(({ y, low, high }) =>
    [y, Math.max(low || y, y / MAX_BAR_RATIO), Math.min(high || y, MAX_BAR_RATIO * y)]);
  const [least, most] = [Math.log10(Math.min(...ends)), Math.log10(Math.max(...ends))];
  const room = Math.max(0.05, (most - least) * 0.06), range = [least - room, most + room];
  return { ...fitting(rulers, ...range.map((end) => 10 ** end)), range };
}
