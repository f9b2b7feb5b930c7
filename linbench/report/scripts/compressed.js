// Data embedded in a page: JSON in gzip in base64, as written by linbench.text.script.compressed.

/** Return the data of an element, by id. */
export async function decompressed(id) {
  const characters = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(characters, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}
