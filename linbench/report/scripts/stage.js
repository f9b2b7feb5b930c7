// The controls of what the figures of a run show: a panel, a baseline, a tensor, and which implementations.
import { data, panel, state } from "./data.js";
import { offered } from "./shown.js";
import { offerValues, watchValue } from "./slice.js";
import { make } from "./tables.js";
import { redraw, watchLegend } from "./view.js";

const byId = (id) => document.getElementById(id);
const selects = [...document.querySelectorAll("[data-setting]")];
const boxes = [...document.querySelectorAll(".legend input")], lines = byId("lines");

/** Keep in the legend what the choice of lines offers. */
function offerLines() {
  if (lines) state.lines = lines.value;
  for (const box of boxes) box.parentElement.hidden = !offered(Number(box.value));
}

/** Offer the tensors of the panel that is shown; keep the chosen one where it is there. */
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

/** Show the panel that has the setting just chosen and shares the most others with what was shown. */
function choose({ dataset: { setting: changed }, value }) {
  const wanted = selects.map((select) => [select.dataset.setting, select.value]);
  const likeness = ({ settings }) => wanted.filter(([name, text]) => settings[name] === text).length;
  const allowed = data.panels.filter(({ settings }) => settings[changed] === value);
  const best = allowed.reduce((one, other) => (likeness(other) > likeness(one) ? other : one));
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

/** Begin with the first panel, and follow the controls. */
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
