// Buttons that copy the code beside them.
const SHOWN_MS = 1500;

/** Copy the code beside a button; where there is no clipboard, select it. */
export function watchCopies() {
  document.addEventListener("click", async ({ target }) => {
    if (!target.matches("[data-copy]")) return;
    const code = target.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      target.textContent = "Copied";
      setTimeout(() => { target.textContent = "Copy"; }, SHOWN_MS);
    } catch {
      target.textContent = "Selected";
    }
  });
}
