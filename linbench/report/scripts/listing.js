// A table of rows with pages and a search.
import { data, rows } from "./data.js";
import { make } from "./tables.js";
import { formatCount } from "./words.js";

const PAGE = 50;
const UNSEARCHED = ["number", "value"];
const { columns, search, row_case: cases, order } = data.listing;
const byId = (id) => document.getElementById(id);
const searchColumns = columns.filter(({ kind }) => !UNSEARCHED.includes(kind));
const inOrder = order.map((number) => rows[number]);
const texts = rows.map(({ number }) =>
  [...searchColumns.map((column) => column.texts[number]), search[cases[number]]].join(" ").toLowerCase());

/** The listed rows, and the index of the first on the current page. */
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

/** List the rows that match the search and `keep`, by page; `last` returns an additional cell of a row. */
export function list({ last, keep = () => true }) {
  function page() {
    const { first, rows: matches } = listed, end = Math.min(first + PAGE, matches.length);
    const pageRows = matches.slice(first, end).map((row) => tableRow(row, last));
    byId("table").tBodies[0].replaceChildren(...pageRows);
    const range = `${formatCount(first + 1)}–${formatCount(end)} of ${formatCount(matches.length)}`;
    byId("count").textContent = matches.length ? range : "no rows";
    byId("previous").disabled = first === 0;
    byId("next").disabled = end === matches.length;
  }

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const matchesSearch = ({ number }) => words.every((word) => texts[number].includes(word));
    listed.rows = inOrder.filter((row) => keep(row) && matchesSearch(row));
    listed.first = 0;
    page();
  }

  function turn(step) {
    listed.first += step;
    page();
  }

  byId("search").addEventListener("input", filter);
  byId("previous").addEventListener("click", () => turn(-PAGE));
  byId("next").addEventListener("click", () => turn(PAGE));
  page();
  return filter;
}
