// Lets a reader of a fleet's page sort every table by any column, and pick a workload, owner or host: rows that do not
// name it are hidden. Without this script the page has the same tables, whole, and in the order of what matters most.
"use strict";
(() => {
  const tables = [...document.querySelectorAll("main table")];
  const names = (row) => [...row.querySelectorAll("td.name")].map((cell) => cell.textContent.trim()).filter(Boolean);
  const number = (text) => Number.parseFloat(text.replace(/[,\s%]/g, "").replace("\u2212", "-"));

  const compare = (one, other) => {
    const [a, b] = [number(one), number(other)];
    if (Number.isNaN(a) !== Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1; // what is unavailable comes last
    return Number.isNaN(a) ? one.localeCompare(other) : b - a; // the largest first
  };
  for (const table of tables) {
    const heads = [...table.querySelectorAll("th")], body = table.tBodies[0];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.textContent = head.textContent.trim();
      button.title = "Sort by this column; again: the other way round";
      head.replaceChildren(button);
      const isText = !head.classList.contains("figure");
      button.addEventListener("click", () => {
        const back = head.getAttribute("aria-sort") === (isText ? "ascending" : "descending");
        const cell = (row) => row.cells[place].textContent.trim();
        const order = isText ? (a, b) => cell(a).localeCompare(cell(b)) : (a, b) => compare(cell(a), cell(b));
        const rows = [...body.rows].sort(order);
        for (const each of heads) each.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isText !== back ? "ascending" : "descending");
        body.append(...(back ? rows.reverse() : rows));
      });
    });
  }

  const found = new Set(tables.flatMap((table) => [...table.tBodies[0].rows].flatMap(names)));
  if (found.size < 2) return;
  const tools = document.createElement("p"), label = document.createElement("label");
  const select = document.createElement("select");
  tools.className = "tools";
  label.textContent = "Rows that name ";
  for (const name of ["", ...[...found].sort((a, b) => a.localeCompare(b))]) {
    const option = document.createElement("option");
    option.value = name;
    option.textContent = name || "anything";
    select.append(option);
  }
  select.addEventListener("change", () => {
    for (const row of tables.flatMap((table) => [...table.tBodies[0].rows])) {
      row.hidden = select.value !== "" && names(row).length > 0 && !names(row).includes(select.value);
    }
  });
  label.append(select);
  tools.append(label);
  document.querySelector("main").prepend(tools);
})();
