"use strict";
// Figures are drawn when they come into view, and again when what they show has changed.
(() => {
  const { data } = globalThis.linbench;
  // By figure, what draws it.
  const drawers = {};

  function draw(element) {
    const id = element.dataset.figure;
    element.removeAttribute("aria-busy");
    drawers[id](element, data.figures.find((figure) => figure.id === id));
  }

  const figures = [...document.querySelectorAll("[data-figure]")];
  const inView = new Set();
  let awaited = false;

  /** Draw what is in view and not up to date, a figure a frame, so that one is seen before the next is drawn. */
  function refresh() {
    if (awaited) return;
    awaited = true;
    requestAnimationFrame(() => {
      awaited = false;
      const next = figures.find((element) => inView.has(element) && element.hasAttribute("aria-busy"));
      if (!next) return;
      draw(next);
      refresh();
    });
  }
  function redraw() {
    for (const element of figures) element.setAttribute("aria-busy", "true");
    refresh();
  }
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target);
    refresh();
  }, { rootMargin: "150px" });
  for (const element of figures) observer.observe(element);
  redraw();

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

  Object.assign(globalThis.linbench, { drawers, redraw });
})();
