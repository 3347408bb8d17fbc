// The page of a study: pictures that cannot be made give way to words, and attributes are filtered while one types.
"use strict";
for (const picture of document.querySelectorAll("img[data-picture]")) {
  const card = picture.parentElement;
  const settle = () => {
    if (picture.complete && picture.naturalWidth === 0) card.classList.add("without-picture");
  };
  picture.addEventListener("error", () => card.classList.add("without-picture"));
  settle();
}
const field = document.querySelector("input[data-filter]");
const table = field && document.getElementById(field.dataset.filter);
if (table) {
  const status = document.getElementById(`${field.dataset.filter}-status`);
  const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
  let waiting = 0;
  const filter = () => {
    const wanted = field.value.trim().toLowerCase();
    let count = 0;
    for (const [row, text] of rows) {
      const shown = !wanted || (!row.classList.contains("item") && text.includes(wanted));
      row.hidden = !shown;
      count += shown;
    }
    status.textContent = wanted ? `${status.dataset.some} ${count}` : status.dataset.all;
  };
  field.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 150);
  });
}
