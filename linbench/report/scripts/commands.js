// The command that measures a row again, beside it in the table, and the rows as a CSV file.
import { data } from "./data.js";
import { list, listed } from "./listing.js";
import { decompressed } from "./compressed.js";
import { make } from "./tables.js";

const KEPT_MS = 10000;
const status = document.getElementById("status");
const { again, arguments: words } = data.commands;

function againCell({ name, number, style }) {
  const cell = make("td", undefined, "again"), button = make("button", "Copy");
  button.type = "button";
  button.dataset.copy = "";
  button.setAttribute("aria-label", `Copy the command for ${name}`);
  const typed = `${again} --impl ${style.quoted} ${words[data.listing.row_case[number]]}`;
  cell.append(button, " ", make("code", typed));
  return cell;
}

/** Save the rows that are listed, every page of them, as `linbench export --to csv` writes them. */
async function download() {
  const [head, ...records] = await decompressed("csv");
  const text = [head, ...listed.rows.map(({ number }) => records[number])];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(text, { type: "text/csv" }));
  link.download = `linbench-${data.run}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), KEPT_MS);
}

/** List the rows of a run. */
export function listRows() {
  const filter = list({ last: againCell, keep: (row) => !status.value || row.status === status.value });
  status.addEventListener("change", filter);
  document.getElementById("download").addEventListener("click", download);
}
