
// Filters: one estimator's order at a time, and of it the rows of a certainty, a suite, and a cost. A place stays what it is.
for (const form of document.querySelectorAll("form.filters")) {
  const views = [...document.querySelectorAll(".view")];
  const asked = (name) => form.elements[name]?.value ?? "";
  const passes = (row, body) =>
    (!asked("certainty") || body.classList.contains(asked("certainty"))) &&
    (!asked("suite") || row.dataset.suite === asked("suite")) &&
    (!asked("cost") || (row.dataset.cost !== "" && Number(row.dataset.cost) <= Number(asked("cost"))));
  const apply = () => {
    for (const view of views) {
      view.hidden = (asked("estimator") || "1") !== view.dataset.view;
      let [shown, all] = [0, 0];
      for (const body of view.querySelectorAll(".board tbody")) {
        const rows = [...body.rows].filter((row) => row.className !== "estimator");
        for (const row of rows) row.hidden = !passes(row, body);
        const left = rows.filter((row) => !row.hidden).length;
        body.hidden = left === 0;
        shown += left;
        all += rows.length;
      }
      view.querySelector(".none").hidden = shown > 0;
      if (!view.hidden) form.querySelector("output").value = shown === all ? `${all} methods` : `${shown} of ${all} methods`;
    }
  };
  form.hidden = false;
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
