"use strict";

// Sorting: rows of one estimator among themselves, since unlike estimators are not to be compared.
const value = (row, column) => {
  const cell = row.cells[column];
  const number = cell.dataset.value;
  return number === undefined ? cell.textContent.trim() : number === "" ? "" : Number(number);
};

const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

const order = (column, sign) => (one, other) => {
  const [a, b] = [value(one, column), value(other, column)];
  if (a === "" || b === "") return (a === "") - (b === "");
  return sign * compare(a, b);
};

const sort = (table, header, column) => {
  const next = { none: "ascending", ascending: "descending", descending: "none" }[header.ariaSort ?? "none"];
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  if (next !== "none") header.setAttribute("aria-sort", next);
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => row.className !== "estimator");
    rows.forEach((row) => (row.dataset.place ??= row.rowIndex));
    const given = (one, other) => one.dataset.place - other.dataset.place;
    body.append(...rows.sort(next === "none" ? given : order(column, next === "ascending" ? 1 : -1)));
  }
};

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header, column));
    header.append(button);
  });
}

// Paper has no folds.
const folds = document.querySelectorAll("details");
addEventListener("beforeprint", () => folds.forEach((one) => ((one.dataset.open = one.open), (one.open = true))));
addEventListener("afterprint", () => folds.forEach((one) => (one.open = one.dataset.open === "true")));

// A click enlarges a figure, and another, or Escape, closes it.
const large = document.getElementById("large");
for (const button of document.querySelectorAll(".enlarge")) {
  button.addEventListener("click", () => {
    const shown = button.querySelector("img"), image = large.querySelector("img");
    image.src = shown.src;
    image.alt = shown.alt;
    large.showModal();
  });
}
large.addEventListener("click", () => large.close());
