// Data that a page holds, packed by gzip and written in base64: linbench.text.script.packed wrote them.

/** Return the data of an element, by its id. */
export async function decompressed(id) {
  const letters = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
