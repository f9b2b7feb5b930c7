// The controls of the figures of a run: panel, baseline, tensor and implementations.
import { data, panel, state } from "./data.js";
import { isOffered } from "./shown.js";
import { offerValues, watchValue } from "./slice.js";
import { make } from "./tables.js";
import { redraw, watchLegend } from "./view.js";

const byId = (id) => document.getElementById(id);
const selects = [...document.querySelectorAll("[data-setting]")];
const boxes = [...document.querySelectorAll(".legend input")], lines = byId("lines");

/** Show in the legend only the implementations in the current choice of lines. */
function offerLines() {
  if (lines) state.lines = lines.value;
  for (const box of boxes) box.parentElement.hidden = !isOffered(Number(box.value));
}

/** Offer the tensors of the current panel; keep the selected one if it is among them. */
function offerTensors() {
  const { tensors } = panel();
  if (!tensors.includes(state.tensor)) state.tensor = "";
  byId("tensor").replaceChildren(...["", ...tensors].map((name) => {
    const option = make("option", name || "worst tensor");
    option.value = name;
    option.selected = name === state.tensor;
    return option;
  }));
}

function show(number) {
  state.panel = number;
  for (const select of selects) select.value = panel().settings[select.dataset.setting];
  offerTensors();
  offerLines();
  offerValues();
  redraw();
}

/** Show the panel with the changed setting that shares the most other settings with the current one. */
function choose({ dataset: { setting: changed }, value }) {
  const current = selects.map((select) => [select.dataset.setting, select.value]);
  const likeness = ({ settings }) => current.filter(([name, text]) => settings[name] === text).length;
  const allowed = data.panels.filter(({ settings }) => settings[changed] === value);
  const best = allowed.reduce((a, b) => (likeness(b) > likeness(a) ? b : a));
  show(data.panels.indexOf(best));
}

function watchBaseline({ target }) {
  state.baseline = Number(target.value);
  redraw();
}

function watchTensor({ target }) {
  state.tensor = target.value;
  redraw();
}

/** Show the first panel and watch the controls. */
export function stage() {
  for (const select of selects) select.addEventListener("change", () => choose(select));
  byId("baseline").addEventListener("change", watchBaseline);
  byId("tensor").addEventListener("change", watchTensor);
  lines?.addEventListener("change", () => {
    offerLines();
    redraw();
  });
  watchLegend(boxes);
  watchValue();
  if (panel()) show(0);
}
