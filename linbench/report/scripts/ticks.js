// Axes: which of the ticks that Python wrote fit, and how far an axis reaches.
import { data } from "./data.js";

const MOST = 8, MOST_SNUG = 10; // ticks
const CUT = 10; // times its value that an interval may reach
const NONE = { ticks: [], texts: [] };

/** Return the ticks of a ruler that an index is kept of. */
function taken({ ticks, texts }, keeps) {
  const places = ticks.map((_, place) => place).filter(keeps);
  return { tickvals: places.map((place) => ticks[place]), ticktext: places.map((place) => texts[place]) };
}

/** Return the finest ticks that are few enough between two values. */
export function fitting(rulers, low, high, most = MOST) {
  const within = (ruler) =>
    taken(ruler, (place) => ruler.ticks[place] >= low && ruler.ticks[place] <= high);
  const found = rulers.map(within);
  return found.find(({ tickvals }) => tickvals.length <= most) || found.at(-1) || within(NONE);
}

/** Return the finest ticks from the one below every value to the one above, and their range. */
export function snug(rulers, values, most = MOST_SNUG) {
  const least = Math.min(...values), greatest = Math.max(...values);
  const found = rulers.map((ruler) => {
    const first = ruler.ticks.findLastIndex((tick) => tick <= least);
    const last = ruler.ticks.findIndex((tick) => tick >= greatest);
    return taken(ruler, (place) => place >= first && place <= last);
  });
  const axis = found.find(({ tickvals }) => tickvals.length <= most) || found.at(-1);
  return { ...axis, range: [Math.log10(axis.tickvals[0]) - 0.04, Math.log10(axis.tickvals.at(-1)) + 0.04] };
}

/** Return how a log axis shows the values that were measured, with a tick at as many as fit. */
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

/** Return how a log axis shows points and their intervals; nothing if there is no point. */
export function valueAxis(points, rulers) {
  const drawn = points.filter(({ y }) => y > 0);
  if (!drawn.length) return {};
  // A long interval is cut, so that it hides no other point.
  const ends = drawn.flatMap(({ y, low, high }) =>
    [y, Math.max(low || y, y / CUT), Math.min(high || y, CUT * y)]);
  const [least, most] = [Math.log10(Math.min(...ends)), Math.log10(Math.max(...ends))];
  const room = Math.max(0.05, (most - least) * 0.06), range = [least - room, most + room];
  return { ...fitting(rulers, ...range.map((end) => 10 ** end)), range };
}
