// Buttons that copy the code next to them.
const SHOWN_MS = 1500;

/** Copy the code next to a clicked button; without access to the clipboard, select it. */
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
