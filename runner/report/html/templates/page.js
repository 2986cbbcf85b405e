"use strict";
(() => {
  const value = (row, column) => {
    const cell = row.children[column];
    return cell.dataset.v ?? cell.textContent.trim();
  };
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b) : x - y;
  };
  const isEmpty = (text) => text === "" || text === "–";
  const sort = (table, head, column) => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      if (isEmpty(x) || isEmpty(y)) return isEmpty(x) - isEmpty(y);
      return rising ? compare(x, y) : compare(y, x);
    });
    table.tBodies[0].append(...rows);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, head, column));
      head.append(button);
    });
  }
  const unfold = () => {
    const name = decodeURIComponent(location.hash.slice(1));
    const found = name ? document.getElementById(name) : null;
    if (found instanceof HTMLDetailsElement) {
      found.open = true;
      found.scrollIntoView();
    }
  };
  addEventListener("hashchange", unfold);
  for (const link of document.querySelectorAll("a[href^='#run-']")) link.addEventListener("click", () => setTimeout(unfold));
  unfold();
  const runs = [...document.querySelectorAll("details.run")];
  const hint = document.querySelector("#runs + .hint");
  if (runs.length && hint) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "all";
    button.textContent = "Unfold all";
    button.addEventListener("click", () => {
      const open = runs.some((run) => !run.open);
      for (const run of runs) run.open = open;
      button.textContent = open ? "Fold all" : "Unfold all";
    });
    hint.after(button);
  }
})();
