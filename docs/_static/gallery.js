// The index of functions: a filter by words and families, and results on the task that is chosen.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("gallery");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const text = document.getElementById("gallery-text");
  const boxes = [...document.querySelectorAll(".families input")];
  const count = document.getElementById("gallery-count");

  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const families = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    for (const row of rows) {
      row.hidden = !families.has(row.dataset.family) ||
        !words.every((word) => row.dataset.words.includes(word));
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length}`;
  }

  const task = document.getElementById("gallery-task");
  const results = [...table.tHead.rows[0].cells].at(-1);
  function choose() {
    for (const row of rows) {
      const cell = row.cells[results.cellIndex];
      cell.textContent = JSON.parse(cell.dataset.results)[task.value] ?? "";
    }
    results.removeAttribute("aria-sort");
  }

  task.addEventListener("change", choose);
  text.addEventListener("input", filter);
  boxes.forEach((box) => box.addEventListener("change", filter));
  choose();
  filter();
});
