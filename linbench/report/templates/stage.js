"use strict";
// Figures are drawn when they come into view, and again when what they show has changed.
(() => {
  const { data, state, offered, panelRows, make } = globalThis.linbench;
  // By figure, what draws it; and what is to be done when another panel is shown.
  const drawers = {}, atShow = [];
  const byId = (id) => document.getElementById(id);

  function draw(element) {
    const id = element.dataset.figure;
    drawers[id](element, data.figures.find((figure) => figure.id === id));
  }

  const figures = [...document.querySelectorAll("[data-figure]")];
  const inView = new Set(), stale = new Set(figures);
  function refresh() {
    for (const element of figures) {
      if (!inView.has(element) || !stale.has(element)) continue;
      stale.delete(element);
      draw(element);
    }
  }
  function redraw() {
    for (const element of figures) stale.add(element);
    refresh();
  }
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target);
    refresh();
  }, { rootMargin: "150px" });
  for (const element of figures) observer.observe(element);

  // Controls.

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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("printing", printing);
      for (const element of figures) draw(element);
    });
  }
  for (const form of document.querySelectorAll("form")) form.addEventListener("submit", (event) => event.preventDefault());

  /** Copy the code beside a button; where there is no clipboard, select it. */
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches("[data-copy]")) return;
    const code = target.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      target.textContent = "Copied";
      setTimeout(() => { target.textContent = "Copy"; }, 1500);
    } catch {
      target.textContent = "Selected";
    }
  });

  Object.assign(globalThis.linbench, { drawers, atShow, redraw });
  if (data.panels.length) addEventListener("DOMContentLoaded", () => show(0));
})();
