/* Sorts the table of a leaderboard by the column whose head is clicked: the best first, a second click turns the order. */
"use strict";

(function () {
  const table = document.getElementById("board");
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];

  /** The value of a row's cell; missing ones come last in both orders. */
  const valueOf = (row, column) => {
    const { value } = row.cells[column].dataset;
    return value === "" ? null : Number(value);
  };

  function sortBy(column) {
    const head = heads[column], current = head.getAttribute("aria-sort");
    const first = head.dataset.better === "lower" ? "ascending" : "descending";
    const order = current ? (current === "ascending" ? "descending" : "ascending") : first;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].sort((a, b) => {
      const x = valueOf(a, column), y = valueOf(b, column);
      if (x === null || y === null) return (x === null) - (y === null);
      return sign * (x - y);
    });
    body.append(...rows);
  }

  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => sortBy(column)));
})();
