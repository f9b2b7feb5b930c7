"use strict";
// The controls of what the figures show: a panel, a baseline, a tensor, and which implementations.
(() => {
  const { data, state, offered, panelRows, make, redraw } = globalThis.linbench;
  // What is to be done when another panel is shown.
  const atShow = [];
  const byId = (id) => document.getElementById(id);

  const selects = [...document.querySelectorAll("[data-setting]")];
  const boxes = [...document.querySelectorAll(".legend input")], lines = byId("lines");

  /** Show the panel that has the setting just chosen and shares the most others with what was shown. */
  function choose(changed) {
    const wanted = Object.fromEntries(selects.map((select) => [select.dataset.setting, select.value]));
    const likeness = ({ settings }) => selects.filter(({ dataset: { setting } }) => settings[setting] === wanted[setting]).length;
    const allowed = data.panels.filter(({ settings }) => settings[changed.dataset.setting] === changed.value);
    const best = allowed.reduce((best, panel) => (likeness(panel) > likeness(best) ? panel : best));
    show(data.panels.indexOf(best));
  }

  function show(number) {
    state.panel = number;
    const panel = data.panels[number];
    for (const select of selects) select.value = panel.settings[select.dataset.setting];
    const tensors = [...new Set(panelRows().flatMap((row) => Object.keys(row.errors)))];
    if (!tensors.includes(state.tensor)) state.tensor = "";
    const options = [["", "worst tensor"], ...tensors.map((name) => [name, name])].map(([value, text]) => {
      const option = make("option", text);
      option.value = value;
      option.selected = value === state.tensor;
      return option;
    });
    byId("tensor").replaceChildren(...options);
    offer();
    for (const act of atShow) act();
    redraw();
  }

  /** Keep in the legend what the choice of lines offers. */
  function offer() {
    if (lines) state.lines = lines.value;
    for (const box of boxes) box.parentElement.hidden = !offered(Number(box.value));
  }

  for (const select of selects) select.addEventListener("change", () => choose(select));
  byId("baseline").addEventListener("change", (event) => { state.baseline = event.target.value; redraw(); });
  byId("tensor").addEventListener("change", (event) => { state.tensor = event.target.value; redraw(); });
  lines?.addEventListener("change", () => { offer(); redraw(); });
  for (const box of boxes) {
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](Number(box.value));
      redraw();
    });
  }

  Object.assign(globalThis.linbench, { atShow });
  if (data.panels.length) addEventListener("DOMContentLoaded", () => show(0));
})();
