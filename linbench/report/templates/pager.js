"use strict";
// A table that lists rows a page at a time, and the search in it.
(() => {
  const { count } = globalThis.linbench;
  const byId = (id) => document.getElementById(id);
  const PAGE = 50;

  /** List the rows whose text has every word that is searched for, as far as others keep them too. */
  function paged(rows, element, keep = () => true) {
    const listed = { rows, first: 0 };

    function list() {
      const { first } = listed, last = Math.min(first + PAGE, listed.rows.length);
      byId("table").tBodies[0].replaceChildren(...listed.rows.slice(first, last).map(element));
      byId("count").textContent = listed.rows.length
        ? `${count(first + 1)}–${count(last)} of ${count(listed.rows.length)}`
        : "no row";
      byId("previous").disabled = first === 0;
      byId("next").disabled = last === listed.rows.length;
    }

    function filter() {
      const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      listed.rows = rows.filter((row) => keep(row) && words.every((word) => row.text.includes(word)));
      listed.first = 0;
      list();
    }

    byId("search").addEventListener("input", filter);
    byId("previous").addEventListener("click", () => { listed.first -= PAGE; list(); });
    byId("next").addEventListener("click", () => { listed.first += PAGE; list(); });
    list();
    return { listed, filter };
  }

  Object.assign(globalThis.linbench, { paged });
})();
