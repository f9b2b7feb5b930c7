// The command that reruns a row, in the table of rows, and the rows as a CSV file.
import { data } from "./data.js";
import { list, listed } from "./listing.js";
import { decompressed } from "./compressed.js";
import { make } from "./tables.js";

const URL_LIFETIME_MS = 10000;
const status = document.getElementById("status");
const { rerun, arguments: caseArguments } = data.commands;

function rerunCell({ name, number, style }) {
  const cell = make("td", undefined, "rerun"), button = make("button", "Copy");
  button.type = "button";
  button.dataset.copy = "";
  button.setAttribute("aria-label", `Copy the command for ${name}`);
  const command = `${rerun} --impl ${style.quoted} ${caseArguments[data.listing.row_case[number]]}`;
  cell.append(button, " ", make("code", command));
  return cell;
}

/** Save the listed rows, on all pages, in the format of `linbench export --to csv`. */
async function download() {
  const [header, ...records] = await decompressed("csv");
  const text = [header, ...listed.rows.map(({ number }) => records[number])];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(text, { type: "text/csv" }));
  link.download = `linbench-${data.run}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), URL_LIFETIME_MS);
}

/** List the rows of a run. */
export function listRows() {
  const filter = list({ last: rerunCell, keep: (row) => !status.value || row.status === status.value });
  status.addEventListener("change", filter);
  document.getElementById("download").addEventListener("click", download);
}
