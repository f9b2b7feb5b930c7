// What figures of one value of the axis have in common.
import { paint, setLabels } from "./canvas.js";
import { axisText, data, panel } from "./data.js";
import { found } from "./shown.js";
import { listMissing, make, tabled } from "./tables.js";
import { crosses, setLane } from "./traces.js";
import { redraw } from "./view.js";
import { escaped } from "./words.js";

const LETTER_WIDTH = 5.6; // pixels
const select = document.getElementById("at");

/** Return the chosen value of the axis. */
export const chosen = () => Number(select.value);

/** Return what there is at the chosen value, as `found` has it. */
export function foundHere(figure) {
  const all = found(figure), x = chosen();
  const here = ({ row }) => row.x === x;
  const [points, marks, absent] = [all.points, all.marks, all.absent].map((each) => each.filter(here));
  return { points, marks, absent, xs: [x] };
}

/** Write the labels, the list of what is missing and the table of a figure. */
export function finish(element, figure, here, headings, lines) {
  const at = `${data.axis} = ${axisText(chosen())}`, { label } = panel();
  setLabels(element, `${at} · ${label}`, `${figure.title} at ${at}`);
  listMissing(element.querySelector(".missing"), here);
  element.querySelector(".numbers .scroll").replaceChildren(tabled(headings, lines));
}

/** Return crosses in a lane at the top edge, one an implementation that failed, with its name and status. */
export function failed(marks, element, layout, colour) {
  if (!marks.length) return [];
  const picture = element.querySelector(".plot");
  const texts = marks.map(({ row }) => `\u00a0${row.name} ${row.status}`);
  const width = 28 + LETTER_WIDTH * Math.max(...texts.map(({ length }) => length));
  const most = Math.max(1, Math.floor((picture.clientWidth - layout.margin.l - layout.margin.r) / width));
  const lines = Math.ceil(marks.length / most), columns = Math.ceil(marks.length / lines);
  setLane(layout, lines, picture, colour);
  layout.xaxis2 = { anchor: "y2", range: [-0.1, columns - 0.1], visible: false, fixedrange: true };
  return marks.map((mark, index) => ({
    ...crosses([mark], lines - 1 - Math.floor(index / columns), paint(mark.row, colour), true),
    x: [index % columns], xaxis: "x2", text: [escaped(texts[index])], textposition: "middle right",
  }));
}

/** Return the marker of a row. */
export const dot = (row, colour) => ({
  color: paint(row, colour), size: 11, symbol: row.style.marker + (row.flags.length ? "-open" : ""),
});

/** Offer the values of the panel that is shown; keep the chosen one where it is there. */
export function offerValues() {
  const { xs, at } = panel(), kept = xs.includes(chosen()) ? chosen() : at;
  select.replaceChildren(...xs.map((x) => {
    const option = make("option", axisText(x));
    option.value = x;
    option.selected = x === kept;
    return option;
  }));
}

/** Draw anew when another value is chosen. */
export function watchValue() {
  select.addEventListener("change", redraw);
}
