// The index of functions: a filter by words and families, and columns that sort.
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

  text.addEventListener("input", filter);
  boxes.forEach((box) => box.addEventListener("change", filter));
  filter();
});
