// A table that lists rows a page at a time, and the search in it.
import { data, rows } from "./data.js";
import { make } from "./tables.js";
import { counted } from "./words.js";

const PAGE = 50;
const UNSEARCHED = ["number", "value"];
const { columns, search, row_case: cases, order } = data.listing;
const byId = (id) => document.getElementById(id);
const searched = columns.filter(({ kind }) => !UNSEARCHED.includes(kind));
const inOrder = order.map((number) => rows[number]);
const texts = rows.map(({ number }) =>
  [...searched.map((column) => column.texts[number]), search[cases[number]]].join(" ").toLowerCase());

/** What is listed: the rows that were found, and the first on the page. */
export const listed = { rows: inOrder, first: 0 };

function tableRow(row, last) {
  const tr = make("tr");
  tr.dataset.row = row.number;
  for (const column of columns) {
    const kind = column.kind === "status" ? (row.failed ? "failed" : "") : column.kind;
    tr.append(make("td", column.texts[row.number], kind));
  }
  if (last) tr.append(last(row));
  return tr;
}

/** List rows a page at a time, as far as they are searched for and kept, with a last cell of their own. */
export function list({ last, keep = () => true }) {
  function page() {
    const { first, rows: found } = listed, end = Math.min(first + PAGE, found.length);
    const shown = found.slice(first, end).map((row) => tableRow(row, last));
    byId("table").tBodies[0].replaceChildren(...shown);
    const range = `${counted(first + 1)}–${counted(end)} of ${counted(found.length)}`;
    byId("count").textContent = found.length ? range : "no row";
    byId("previous").disabled = first === 0;
    byId("next").disabled = end === found.length;
  }

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const isFound = ({ number }) => words.every((word) => texts[number].includes(word));
    listed.rows = inOrder.filter((row) => keep(row) && isFound(row));
    listed.first = 0;
    page();
  }

  function turn(rowsOn) {
    listed.first += rowsOn;
    page();
  }

  byId("search").addEventListener("input", filter);
  byId("previous").addEventListener("click", () => turn(-PAGE));
  byId("next").addEventListener("click", () => turn(PAGE));
  page();
  return filter;
}
