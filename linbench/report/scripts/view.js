// Figures are drawn when they come into view, and again when their data have changed.
import { data, state } from "./data.js";

/** The function that draws each figure, by the id of the figure. */
export const drawers = {};

const elements = [...document.querySelectorAll("[data-figure]")];
const inView = new Set();
let isScheduled = false;

function drawNow(element) {
  const id = element.dataset.figure;
  element.removeAttribute("aria-busy");
  drawers[id](element, data.figures.find((figure) => figure.id === id));
}

/** Draw the outdated figures in view, one per frame, so that each appears before the next is drawn. */
function refresh() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    const next = elements.find((element) => inView.has(element) && element.hasAttribute("aria-busy"));
    if (!next) return;
    drawNow(next);
    refresh();
  });
}

/** Redraw all figures. */
export function redraw() {
  for (const element of elements) element.setAttribute("aria-busy", "true");
  refresh();
}

/** Draw figures as they come into view, redraw them if the theme changes, and draw all for printing. */
export function watch() {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) inView[isIntersecting ? "add" : "delete"](target);
    refresh();
  }, { rootMargin: "150px" });
  for (const element of elements) observer.observe(element);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const [event, printing] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("printing", printing);
      for (const element of elements) drawNow(element);
    });
  }
  for (const form of document.querySelectorAll("form")) {
    form.addEventListener("submit", (event) => event.preventDefault());
  }
  redraw();
}

/** Hide an implementation when its box in the legend is unchecked. */
export function watchLegend(boxes) {
  for (const box of boxes) {
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](Number(box.value));
      redraw();
    });
  }
}
