// Tables whose headings have `data-sort` ("text" or "number") sort by a click or Enter. Cells
// without a value, or whose value is no number, stay at the end.
(function () {
  function value(row, column, kind) {
    const cell = row.cells[column];
    const text = (cell.dataset.value ?? cell.textContent).trim();
    if (kind === "text") return text.toLowerCase() || null;
    const number = parseFloat(text.replace("−", "-").replace(/,/g, ""));
    return Number.isNaN(number) ? null : number;
  }

  function sort(heading) {
    const table = heading.closest("table");
    const column = heading.cellIndex;
    const kind = heading.dataset.sort;
    const before = heading.getAttribute("aria-sort");
    const falling = before ? before === "ascending" : kind === "number";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [value(row, column, kind), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = a < b ? -1 : a > b ? 1 : 0;
      return falling ? -order : order;
    });
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const heading of document.querySelectorAll("th[data-sort]")) {
      heading.tabIndex = 0;
      heading.addEventListener("click", () => sort(heading));
      heading.addEventListener("keydown", (event) => {
        if (event.key === "Enter") sort(heading);
      });
    }
  });
})();
