// Figures are drawn when they come into view, and again when what they show has changed.
import { data, state } from "./data.js";

/** By figure, what draws it. */
export const drawers = {};

const elements = [...document.querySelectorAll("[data-figure]")];
const inView = new Set();
let awaited = false;

function drawNow(element) {
  const id = element.dataset.figure;
  element.removeAttribute("aria-busy");
  drawers[id](element, data.figures.find((figure) => figure.id === id));
}

/** Draw what is in view and not up to date, a figure a frame, so that one is seen before the next. */
function refresh() {
  if (awaited) return;
  awaited = true;
  requestAnimationFrame(() => {
    awaited = false;
    const next = elements.find((element) => inView.has(element) && element.hasAttribute("aria-busy"));
    if (!next) return;
    drawNow(next);
    refresh();
  });
}

/** Have every figure drawn anew. */
export function redraw() {
  for (const element of elements) element.setAttribute("aria-busy", "true");
  refresh();
}

/** Have figures drawn as they come into view, anew in another theme, and all of them on paper. */
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

/** Hide an implementation when its box in the legend is emptied. */
export function watchLegend(boxes) {
  for (const box of boxes) {
    box.addEventListener("change", () => {
      state.hidden[box.checked ? "delete" : "add"](Number(box.value));
      redraw();
    });
  }
}
