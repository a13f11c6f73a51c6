/* Model pages without this script are whole; it filters and sorts claims, and opens the evidence that a link names. */
(() => {
  "use strict";

  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const labelOf = (row) => row.cells[0].firstElementChild.textContent;
  const claimsOf = (row) => Number(row.dataset.n || 1);

  /** Buttons that show the claims of one verdict; a table without any, and its heading, are hidden with their rows. */
  function addFilter(tools, rows, tables) {
    const words = [...new Set(rows.map(labelOf))];
    const said = make("output", {});
    const filter = (word) => {
      rows.forEach((row) => show(row, word === "All" || labelOf(row) === word));
      tables.forEach(hideIfEmpty);
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.value === word)));
      said.textContent = `${count(rows.filter((row) => !row.hidden))} claims shown`;
    };
    const count = (chosen) => chosen.reduce((sum, row) => sum + claimsOf(row), 0);
    const buttons = ["All", ...words].map((word) => {
      const n = count(rows.filter((row) => word === "All" || labelOf(row) === word));
      const button = make("button", { type: "button", value: word, textContent: `${word} ${n}` });
      button.addEventListener("click", () => filter(word));
      return button;
    });
    tools.setAttribute("role", "group");
    tools.setAttribute("aria-label", "Claims by verdict");
    tools.replaceChildren(...buttons, said);
    filter("All");
    said.textContent = "";
    document.querySelectorAll("a.cp-pill").forEach((pill) => pill.addEventListener("click", (event) => {
      const chosen = buttons.find((button) => pill.classList.contains(`cp-${button.value.toLowerCase()}`));
      if (!chosen) return;
      event.preventDefault();
      chosen.click();
      chosen.focus({ preventScroll: true });
      tools.scrollIntoView();
    }));
  }

  function hideIfEmpty(table) {
    const box = table.closest(".cp-claims");
    box.hidden = [...table.tBodies[0].rows].every((row) => row.hidden);
    const heading = box.previousElementSibling;
    if (heading?.tagName === "H3") heading.hidden = box.hidden;
  }

  function show(row, shown) {
    row.hidden = !shown;
    if (row.more) row.more.hidden = !shown;
  }

  /** A number where the text begins with one, as counts, percentages and differences do; 4.17 G is 4.17e9. */
  function valueOf(cell) {
    const text = cell ? cell.textContent.trim() : "";
    const number = parseFloat(text.replace(/[,%±+\s]/g, "").replace("−", "-"));
    const power = { k: 1e3, M: 1e6, G: 1e9 }[/^[\d.,]+ ([kMG])\b/.exec(text)?.[1]] || 1;
    return Number.isNaN(number) ? text.toLowerCase() : number * power;
  }

  function compare(one, other) {
    if (typeof one === "number" && typeof other === "number") return one - other;
    if (typeof one === typeof other) return one.localeCompare(other);
    return typeof one === "number" ? -1 : 1;
  }

  function addSort(table) {
    const body = table.tBodies[0];
    const written = [...body.rows];
    const cellOf = (row, column) => {
      const cell = row.cells[column];
      return cell?.querySelector("summary, b") || cell;
    };
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button", className: "cp-sort", textContent: head.textContent });
      button.addEventListener("click", () => {
        const order = { ascending: "descending", descending: "none" }[head.getAttribute("aria-sort")] || "ascending";
        [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
        if (order !== "none") head.setAttribute("aria-sort", order);
        const sign = order === "descending" ? -1 : 1;
        const keys = new Map(written.map((row) => [row, valueOf(cellOf(row, column))]));
        const rows = order === "none" ? written : [...written].sort((a, b) => sign * compare(keys.get(a), keys.get(b)));
        body.append(...rows.flatMap((row) => (row.more ? [row, row.more] : [row])));
      });
      head.replaceChildren(button);
    });
  }

  /** The record that a row's claim rests on; where every model has its own, that of the claim which the address names. */
  function recordOf(row) {
    const link = row.querySelector('a[href^="#evidence"]');
    const target = targetOf();
    const claim = target && row.contains(target) ? target : row.querySelector("div[id]");
    const records = link?.hash === "#evidence" ? [...document.querySelectorAll(".cp-record > dl")] : [];
    const own = records.find((record) => claim.id.startsWith(`${record.id.replace("evidence-", "")}-`));
    return own || (link && document.getElementById(link.hash.slice(1)));
  }

  /** While a claim is open, its text and its record have a row of their own, as wide as the table. */
  function addRecord(row) {
    const details = row.querySelector("details");
    const claim = details.querySelector("div[id]");
    const last = claim.lastElementChild;
    claim.append(last && last.tagName === "A" ? " · " : " ", make("a", { href: `#${claim.id}`, textContent: "Link to this claim" }));
    details.addEventListener("toggle", () => {
      if (!details.open) {
        details.append(claim);
        row.more?.remove();
        row.more = undefined;
      } else if (!row.more) {
        const record = recordOf(row);
        row.more = make("tr", { className: "cp-more" });
        const cell = make("td", { colSpan: 6 });
        cell.append(claim);
        if (record) {
          const copy = record.cloneNode(true);
          copy.removeAttribute("id");
          copy.querySelectorAll("pre").forEach((block) => block.replaceChildren(block.querySelector("code")));
          cell.append(copy);
        }
        row.more.append(cell);
        row.after(row.more);
      }
    });
  }

  function targetOf() {
    try {
      const id = decodeURIComponent(location.hash.slice(1));
      return document.getElementById(id) || document.getElementById(id.replace(/-\d+$/, "")); // an item of a shared list
    } catch {
      return null; // a fragment that is no text, such as #%
    }
  }

  function openTarget() {
    const target = targetOf();
    const details = target && (target.closest(".cp-claims details, .cp-record, .cp-aside") || target.closest(".cp-more")?.previousElementSibling.querySelector("details"));
    if (!details) return;
    details.open = true;
    const row = details.closest("tr");
    if (row) {
      show(row, true);
      hideIfEmpty(row.closest("table"));
    }
    target.scrollIntoView({ block: "center" });
  }

  /** A table that is wider than its place can be scrolled by keyboard, and screen readers say what it is. */
  function reachWideTables(place) {
    place.querySelectorAll(".md-typeset__scrollwrap").forEach((wrap) => {
      if (wrap.scrollWidth <= wrap.clientWidth || getComputedStyle(wrap).overflowX === "visible") {
        ["tabindex", "role", "aria-label"].forEach((name) => wrap.removeAttribute(name));
        return;
      }
      const heads = [...wrap.querySelectorAll("th")].map((head) => head.textContent.trim()).filter(Boolean);
      wrap.tabIndex = 0;
      wrap.setAttribute("role", "region");
      wrap.setAttribute("aria-label", `Table of ${heads.slice(0, 3).join(", ") || "values"}`);
    });
  }

  /** Name the theme's bars of buttons beside code, which it adds while the page is read: landmarks need different names. */
  function nameCodeBars(place) {
    const name = () => place.querySelectorAll(".md-code__nav:not([aria-label])").forEach((bar) => {
      bar.setAttribute("aria-label", `Code ${[...place.querySelectorAll(".md-code__nav")].indexOf(bar) + 1}`);
    });
    name();
    new MutationObserver(name).observe(place, { childList: true, subtree: true });
  }

  function enhance() {
    const place = document.querySelector("article");
    if (place) new ResizeObserver(() => reachWideTables(place)).observe(place);
    if (place) nameCodeBars(place);
    document.querySelector('.md-search[role="dialog"]:not([aria-label])')?.setAttribute("aria-label", "Search");
    const tools = document.querySelector(".cp-tools");
    const tables = [...document.querySelectorAll(".cp-claims table")];
    const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
    if (!tools || tools.firstChild || !rows.length) return;
    addFilter(tools, rows, tables);
    rows.forEach(addRecord);
    tables.forEach(addSort);
    document.querySelectorAll(".cp-stands table, .cp-variants table").forEach(addSort);
    openTarget();
  }

  addEventListener("hashchange", openTarget);
  if (window.document$) window.document$.subscribe(enhance);
  else if (document.readyState === "loading") addEventListener("DOMContentLoaded", enhance);
  else enhance();
})();
