// Functions of figures at one value of the axis.
import { paint, setLabels } from "./canvas.js";
import { axisText, data, panel } from "./data.js";
import { figureRows } from "./shown.js";
import { listMissing, make, textTable } from "./tables.js";
import { crosses, setLane } from "./traces.js";
import { redraw } from "./view.js";
import { escaped } from "./words.js";

const CHARACTER_WIDTH = 5.6; // pixels
const select = document.getElementById("at");

/** Return the selected value of the axis. */
export const selectedX = () => Number(select.value);

/** Return the rows of a figure at the selected value; see `figureRows`. */
export function sliceRows(figure) {
  const all = figureRows(figure), x = selectedX();
  const isSelected = ({ row }) => row.x === x;
  const [points, marks, absent] = [all.points, all.marks, all.absent].map((rows) => rows.filter(isSelected));
  return { points, marks, absent, xs: [x] };
}

/** Write the labels, the list of missing rows and the table of a figure. */
export function finish(element, figure, here, headings, lines) {
  const at = `${data.axis} = ${axisText(selectedX())}`, { label } = panel();
  setLabels(element, `${at} · ${label}`, `${figure.title} at ${at}`);
  listMissing(element.querySelector(".missing"), here);
  element.querySelector(".numbers .scroll").replaceChildren(textTable(headings, lines));
}

/** Return crosses in a lane at the top edge, one per failed implementation, with its name and status. */
export function failureTraces(marks, element, layout, colour) {
  if (!marks.length) return [];
  const picture = element.querySelector(".plot");
  const texts = marks.map(({ row }) => `\u00a0${row.name} ${row.status}`);
  const width = 28 + CHARACTER_WIDTH * Math.max(...texts.map(({ length }) => length));
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

/** Offer the values of the current panel; keep the selected one if it is among them. */
export function offerValues() {
  const { xs, at } = panel(), selected = xs.includes(selectedX()) ? selectedX() : at;
  select.replaceChildren(...xs.map((x) => {
    const option = make("option", axisText(x));
    option.value = x;
    option.selected = x === selected;
    return option;
  }));
}

/** Redraw when another value is selected. */
export function watchValue() {
  select.addEventListener("change", redraw);
}
