/* The compare page: sorts, filters, plots and shares the table of all models. No library; the table is whole without it. */
(() => {
  "use strict";

  const LIMIT = 500; // rows put on the page at once; the rest on request
  const SVG = "http://www.w3.org/2000/svg";
  /** Marks of the plot by the verdict on the vertical number, as on the pages of models: sign, meaning, path. */
  const CIRCLE = "M-5 0a5 5 0 1 1 10 0a5 5 0 1 1-10 0";
  const SHAPES = {
    measured: ["●", "measured here", CIRCLE],
    cited: ["○", "agrees with a published source", CIRCLE],
    disputed: ["◇", "sources differ", "M0-6 6 0 0 6-6 0z"],
    unchecked: ["□", "as stated, not checked", "M-4.5-4.5h9v9h-9z"],
  };
  const CHOICES = ["family", "task", "data", "licence", "verdict"];
  const TEXTS = { families: "family", tasks: "task", datasets: "data", licence: "licence" };
  const SCALE = { k: 1e3, m: 1e6, g: 1e9, t: 1e12 };

  /* ---- state and address: pure functions ---- */

  /** What is shown where an address says nothing. `columns` are those of the table: {key, number, better, shown}. */
  function defaults(columns) {
    const numbers = columns.filter((column) => column.number);
    const result = numbers.find((column) => column.better === "more") || numbers[1] || numbers[0];
    const cost = numbers.find((column) => column.key === "multiply-adds") || numbers[0];
    return {
      name: "", family: "", task: "", data: "", licence: "", verdict: "", sort: "", min: {}, max: {}, log: "", models: [],
      cols: columns.filter((column) => column.shown).map((column) => column.key),
      x: cost ? cost.key : "", y: result ? result.key : "",
    };
  }

  /** Return the state that a query string stands for; what it does not know is left as it is by default. */
  function parseState(query, columns) {
    const state = defaults(columns);
    const known = new Map(columns.map((column) => [column.key, column]));
    for (const [name, value] of new URLSearchParams(query)) {
      const range = /^(min|max)-(.+)$/.exec(name);
      if (range && known.get(range[2])?.number && parseNumber(value) !== null) state[range[1]][range[2]] = value;
      else if (name === "name" || CHOICES.includes(name)) state[name] = value;
      else if (name === "model") state.models.push(value);
      else if (name === "sort" && known.has(value.replace(/^-/, ""))) state.sort = value;
      else if ((name === "x" || name === "y") && known.get(value)?.number) state[name] = value;
      else if (name === "log") state.log = ["x", "y"].filter((axis) => value.includes(axis)).join("");
      else if (name === "cols") {
        const keys = value.split(",").filter((key) => known.has(key));
        state.cols = keys.includes("name") ? keys : ["name", ...keys];
      }
    }
    return state;
  }

  /** Return the query string of a state: only what differs from the default, always in the same order. */
  function formatState(state, columns) {
    const base = defaults(columns);
    const query = new URLSearchParams();
    for (const name of ["name", ...CHOICES, "sort", "x", "y", "log"]) {
      if (state[name] !== base[name]) query.set(name, state[name]);
    }
    for (const end of ["min", "max"]) {
      for (const key of Object.keys(state[end]).sort()) if (state[end][key]) query.set(`${end}-${key}`, state[end][key]);
    }
    for (const name of state.models) query.append("model", name);
    if (state.cols.join() !== base.cols.join()) query.set("cols", state.cols.join());
    return query.toString().replaceAll("%2C", ",");
  }

  /** Return the number of `3G`, `25 M`, `78.2%`; null where a text is none. */
  function parseNumber(text) {
    const match = /^\s*(-?\d+(?:[.,]\d+)?)\s*([kmgt]?)b?\s*%?\s*$/i.exec(text);
    return match ? Number(match[1].replace(",", ".")) * (SCALE[match[2].toLowerCase()] || 1) : null;
  }

  /** Return the models that a state lets through, in its order. */
  function select(models, state) {
    const words = state.name.toLowerCase().split(/\s+/).filter(Boolean);
    const found = models.filter((model) =>
      (!state.models.length || state.models.includes(model.name)) &&
      words.every((word) => model.search.includes(word)) &&
      Object.entries(TEXTS).every(([key, name]) => !state[name] || model.texts[key].includes(state[name])) &&
      (!state.verdict || model.verdicts[state.verdict] > 0) &&
      inRanges(model, state));
    if (!state.sort) return found;
    const down = state.sort.startsWith("-");
    const key = state.sort.replace(/^-/, "");
    return found
      .map((model, place) => [model, place])
      .sort(([a, i], [b, j]) => compare(sortValue(a, key), sortValue(b, key), down) || i - j)
      .map(([model]) => model);
  }

  function inRanges(model, state) {
    for (const [end, sign] of [["min", 1], ["max", -1]]) {
      for (const [key, text] of Object.entries(state[end])) {
        const limit = parseNumber(text);
        if (limit === null) continue;
        const value = model.numbers[key];
        if (value === undefined || sign * (value - limit) < 0) return false;
      }
    }
    return true;
  }

  function sortValue(model, key) {
    if (key === "name") return model.name;
    if (key === "verdicts") return model.verdicts.refuted * 1e6 + model.verdicts.disputed * 1e3 - model.verdicts.confirmed;
    return key in TEXTS ? model.texts[key].join("; ") : model.numbers[key];
  }

  /** Compare two values; what is not there comes last in either direction. */
  function compare(a, b, down) {
    const missing = (value) => value === undefined || value === "";
    if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
    const order = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
    return down ? -order : order;
  }

  /** Return the models that no other one beats on both numbers, by x; where neither value is better, more is. */
  function paretoFront(models, x, y) {
    const sign = (column) => (column.better === "less" ? 1 : -1);
    const cost = (model) => [sign(x) * model.numbers[x.key], sign(y) * model.numbers[y.key]];
    const sorted = models.map((model) => [model, ...cost(model)]).sort((a, b) => a[1] - b[1] || a[2] - b[2]);
    const front = [];
    let best = Infinity;
    for (const [model, , second] of sorted) {
      if (second < best) {
        best = second;
        front.push(model);
      }
    }
    return front;
  }

  /** Return a text as a cell of a CSV file that no spreadsheet takes for a formula. */
  function csvCell(value) {
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r\n＝＋－＠]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /** Return the shown models as rows of plain values, the heads first. */
  function plainRows(models, columns) {
    const cell = (model, column) => {
      if (column.number) return model.numbers[column.key] ?? "";
      if (column.key === "name") return model.name;
      if (column.key === "verdicts") {
        return Object.entries(model.verdicts).filter(([, count]) => count).map(([word, count]) => `${count} ${word}`).join(", ");
      }
      return model.texts[column.key].join("; ");
    };
    return [columns.map((column) => column.key), ...models.map((model) => columns.map((column) => cell(model, column)))];
  }

  const toCsv = (models, columns) => plainRows(models, columns).map((row) => row.map(csvCell).join(",")).join("\n") + "\n";

  function toJson(models, columns) {
    const [keys, ...rows] = plainRows(models, columns);
    const objects = rows.map((row, i) => ({ ...Object.fromEntries(keys.map((key, k) => [key, row[k] === "" ? null : row[k]])), page: models[i].link }));
    return JSON.stringify(objects, null, 1) + "\n";
  }

  /* ---- numbers on axes ---- */

  function short(value) {
    for (const [power, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= power) return `${+(value / power).toPrecision(3)} ${unit}`;
    }
    return String(+value.toPrecision(4));
  }

  function ticks(low, high, log) {
    if (log) {
      const found = [];
      for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
        for (const digit of [1, 2, 5]) {
          const value = digit * 10 ** power;
          if (value >= low && value <= high) found.push(value);
        }
      }
      if (found.length > 1) return found.length > 8 ? found.filter((value) => /^1/.test(value.toExponential())) : found;
    }
    const raw = (high - low) / 5 || 1;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((digit) => digit * power).find((size) => size >= raw);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high * (1 + 1e-12); i += 1) found.push(+(i * step).toPrecision(12));
    return found;
  }

  /* ---- the page ---- */

  function element(name, attributes = {}, ...children) {
    const made = name.startsWith("svg:") ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
    made.append(...children);
    return made;
  }

  function columnsOf(table) {
    return [...table.tHead.rows[0].cells].map((cell, index) => ({
      index, cell, key: cell.dataset.key, label: cell.textContent.trim(), number: "number" in cell.dataset,
      better: cell.dataset.better || "", shown: "shown" in cell.dataset,
    }));
  }

  function modelOf(row, columns) {
    const model = { row, numbers: Object.create(null), shown: Object.create(null), texts: {}, shapes: Object.create(null), verdicts: { confirmed: 0, generated: 0, cited: 0, disputed: 0, refuted: 0, unchecked: 0 } };
    for (const column of columns) {
      const cell = row.cells[column.index];
      if (column.number) {
        if (cell.dataset.value) {
          model.numbers[column.key] = Number(cell.dataset.value);
          model.shown[column.key] = cell.firstChild.textContent.trim();
          const mark = cell.querySelector(".cp-mark");
          model.shapes[column.key] = Object.keys(SHAPES).find((shape) => mark && mark.classList.contains(`cp-${shape}`)) || "measured";
        }
      } else if (column.key === "name") {
        model.name = cell.textContent.trim();
        model.link = cell.querySelector("a").href;
      } else if (column.key === "verdicts") {
        for (const pill of cell.children) {
          const [count, verdict] = pill.textContent.split(" ");
          model.verdicts[verdict] = Number(count);
        }
      } else model.texts[column.key] = cell.textContent.split("; ").map((text) => text.trim()).filter(Boolean);
    }
    model.search = [model.name, ...model.texts.families].join(" ").toLowerCase();
    return model;
  }

  /** Return the verdicts that the page shows, with their numbers: generated values are not among the confirmed ones. */
  function shownVerdicts({ verdicts, generated = 0 }) {
    const { confirmed = 0, ...others } = verdicts;
    return Object.entries({ confirmed: confirmed - generated, generated, ...others }).filter(([, count]) => count);
  }

  /** Return a row of the table for an entry of models.json, as the page itself would have it. */
  function rowOf(entry, columns, root) {
    const row = element("tr");
    for (const column of columns) {
      const cell = row.appendChild(element(column.key === "name" ? "th" : "td"));
      if (column.key === "name") {
        cell.scope = "row";
        const parts = entry.name.split("_").flatMap((part, i) => (i ? ["_", element("wbr"), part] : [part]));
        cell.append(element("a", { href: root + entry.page }, element("code", {}, ...parts)));
      } else if (column.number) {
        const found = Object.hasOwn(entry.quantities, column.key) && entry.quantities[column.key];
        if (!found) continue;
        cell.dataset.value = found.value;
        cell.append(`${found.text} `);
        const verdict = found.is_generated ? "generated" : found.verdict;
        if (verdict) cell.append(element("i", { class: `cp-mark cp-${verdict}` }, verdict));
        if (found.stated) cell.append(element("small", { class: "cp-refuted" }, `card says ${found.stated}`));
      } else if (column.key === "verdicts") {
        for (const [verdict, count] of shownVerdicts(entry)) {
          cell.append(element("span", { class: `cp-pill cp-${verdict}` }, `${count} ${verdict}`), " ");
        }
      } else cell.append([].concat(entry[column.key] || []).join("; "));
    }
    return row;
  }

  async function load(root, columns) {
    const body = root.querySelector("tbody");
    const total = Number(root.dataset.total);
    if (total > body.rows.length && root.dataset.models) {
      try {
        const data = await (await fetch(root.dataset.models)).json();
        const there = new Set([...body.rows].map((row) => row.cells[0].textContent.trim()));
        for (const entry of data.models) if (!there.has(entry.name)) body.append(rowOf(entry, columns, root.dataset.root));
        root.querySelector(".cp-compare__more")?.remove();
      } catch {
        /* from a folder without a server: what the page itself has is shown, and its note says what is missing */
      }
    }
    return [...body.rows].filter((row) => row.cells.length === columns.length).map((row) => modelOf(row, columns));
  }

  async function start(root) {
    if (root.dataset.ready) return;
    root.dataset.ready = "true";
    const table = root.querySelector("table");
    const columns = columnsOf(table);
    const models = await load(root, columns);
    if (!models.length) return;
    let state = parseState(location.search, columns);
    let all = false;
    const tools = toolbar(root, columns, models);
    const plot = root.parentNode.insertBefore(element("figure", { class: "cp-pareto" }), root.nextSibling);

    const update = (changes = {}) => {
      state = { ...state, ...changes };
      const query = formatState(state, columns);
      history.replaceState(history.state, "", `${location.pathname}${query ? `?${query}` : ""}${location.hash}`);
      show();
    };

    const show = () => {
      const found = select(models, state);
      const shown = all ? found : found.slice(0, LIMIT);
      const visible = columns.filter((column) => state.cols.includes(column.key));
      table.tBodies[0].replaceChildren(...shown.map((model) => model.row));
      for (const row of [table.tHead.rows[0], ...shown.map((model) => model.row)]) {
        for (const column of columns) row.cells[column.index].hidden = !state.cols.includes(column.key);
      }
      for (const column of columns) {
        const sorted = state.sort.replace(/^-/, "") === column.key;
        if (sorted) column.cell.setAttribute("aria-sort", state.sort.startsWith("-") ? "descending" : "ascending");
        else column.cell.removeAttribute("aria-sort");
      }
      tools.choose(state, chosen().length);
      tools.set(state, found.length, shown.length < found.length ? found.length : 0);
      tools.found = [found, visible];
      draw(plot, found, columns, state, update);
      table.parentNode.hidden = plot.hidden = !found.length;
    };

    for (const column of columns) {
      const button = element("button", { type: "button" }, column.label);
      button.addEventListener("click", () => {
        const first = column.better === "more" || column.key === "verdicts" ? `-${column.key}` : column.key;
        const second = first.startsWith("-") ? column.key : `-${column.key}`;
        update({ sort: state.sort === first ? second : state.sort === second ? "" : first });
      });
      column.cell.replaceChildren(button);
    }
    const boxes = models.map((model) => {
      const box = element("input", { type: "checkbox", value: model.name, "aria-label": `Choose ${model.name}`, class: "cp-compare__choose" });
      box.checked = state.models.includes(model.name);
      model.row.cells[0].prepend(box);
      return box;
    });
    const chosen = () => boxes.filter((box) => box.checked).map((box) => box.value);
    table.addEventListener("change", () => tools.choose(state, chosen().length));
    tools.listen(update, () => state, () => { all = true; show(); }, chosen, () => {
      for (const box of boxes) box.checked = false;
    });
    addEventListener("popstate", () => { state = parseState(location.search, columns); show(); });
    let width = 0;
    new ResizeObserver(() => {
      if (Math.abs(plot.clientWidth - width) > 8) {
        width = plot.clientWidth;
        draw(plot, select(models, state), columns, state, update);
      }
    }).observe(plot);
    show();
  }

  const field = (label, control) => element("label", {}, element("span", {}, label), control);
  const button = (label) => element("button", { type: "button", class: "cp-compare__button" }, label);

  /** Build the controls above the table; `set` shows a state in them, `listen` tells of changes. */
  function toolbar(root, columns, models) {
    const numbers = columns.filter((column) => column.number);
    const controls = {};
    const form = element("form", { class: "cp-compare__tools", "data-folded": true });
    const choice = (name, label, values, all = "All", ending = "") => {
      const options = values.map((value) => element("option", { value }, value + ending));
      controls[name] = element("select", { name }, element("option", { value: "" }, all), ...options);
      return values.length ? field(label, controls[name]) : "";
    };
    const texts = (key) => [...new Set(models.flatMap((model) => model.texts[key] || []))].sort((a, b) => a.localeCompare(b, "en"));

    controls.name = element("input", { type: "search", name: "name", placeholder: "Part of a name", autocomplete: "off" });
    const fold = button("");
    fold.classList.add("cp-compare__toggle");
    const filters = element("div", { class: "cp-compare__filters", role: "search", "aria-label": "Filter models" },
      field("Model", controls.name), fold, choice("family", "Family", texts("families")), choice("task", "Task", texts("tasks")),
      choice("data", "Data set", texts("datasets")), choice("licence", "Licence", texts("licence")),
      choice("verdict", "Show models with", ["confirmed", "generated", "cited", "disputed", "refuted", "unchecked"], "any claims", " claims"));

    const ranges = element("div", { class: "cp-compare__grid" });
    for (const column of numbers) {
      const values = models.map((model) => model.numbers[column.key]).filter((value) => value !== undefined);
      const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
      const input = (end, words, hint) => {
        controls[`${end}-${column.key}`] = element("input", { name: `${end}-${column.key}`, size: "7", placeholder: hint, "aria-label": `${column.label}, ${words}`, autocomplete: "off" });
        return controls[`${end}-${column.key}`];
      };
      ranges.append(element("fieldset", {}, element("legend", {}, column.label), input("min", "at least", short(low)), " to ", input("max", "at most", short(high))));
    }
    const picks = element("div", { class: "cp-compare__grid" }, ...columns.slice(1).map((column) => {
      const box = element("input", { type: "checkbox", name: "cols", value: column.key });
      controls[`col-${column.key}`] = box;
      return element("label", { class: "cp-compare__pick" }, box, ` ${column.label}`);
    }));
    const count = element("output", { class: "cp-compare__count" });
    const none = element("p", { class: "cp-compare__none" }, "No model matches these filters.");
    const [link, csv, json, reset, more, only] = ["Copy link", "CSV", "JSON", "Reset", "", ""].map(button);
    csv.setAttribute("aria-label", "Download what is shown as CSV");
    json.setAttribute("aria-label", "Download what is shown as JSON");
    const folds = [["Ranges", ranges], ["Columns", picks]].map(([title, inside]) =>
      element("details", { class: "cp-compare__fold" }, element("summary", {}, title), inside));
    form.append(filters, ...folds, element("div", { class: "cp-compare__actions" }, count, only, reset, link, csv, json), none);
    root.prepend(form);
    form.addEventListener("submit", (event) => event.preventDefault());
    fold.addEventListener("click", () => fold.setAttribute("aria-expanded", String(!form.toggleAttribute("data-folded"))));
    fold.setAttribute("aria-expanded", "false");
    root.append(more);

    const tools = {
      found: [[], []],
      choose(state, number) {
        only.hidden = !number && !state.models.length;
        only.textContent = state.models.length ? "Show all models" : `Show the ${number} chosen`;
      },
      set(state, found, hidden) {
        for (const name of ["name", ...CHOICES]) {
          if (controls[name] !== document.activeElement) controls[name].value = state[name];
        }
        for (const column of numbers) {
          for (const end of ["min", "max"]) {
            const input = controls[`${end}-${column.key}`];
            if (input !== document.activeElement) input.value = state[end][column.key] || "";
            input.setAttribute("aria-invalid", String(Boolean(input.value) && parseNumber(input.value) === null));
          }
        }
        for (const column of columns.slice(1)) controls[`col-${column.key}`].checked = state.cols.includes(column.key);
        if (Object.keys(state.min).length + Object.keys(state.max).length) folds[0].open = true;
        const filters = CHOICES.filter((name) => state[name]).length + Object.keys({ ...state.min, ...state.max }).length;
        fold.textContent = `Filters and columns${filters ? ` (${filters})` : ""}`;
        count.textContent = `${found} of ${models.length} models`;
        reset.hidden = !formatState(state, columns);
        none.hidden = found > 0;
        more.hidden = !hidden;
        more.textContent = `Show all ${hidden}`;
      },
      listen(update, state, showAll, chosen, unchoose) {
        const read = (event) => {
          const { name, value } = event.target;
          const range = /^(min|max)-(.+)$/.exec(name);
          if (range) {
            const ends = { ...state()[range[1]] };
            if (value.trim()) ends[range[2]] = value.trim();
            else delete ends[range[2]];
            update({ [range[1]]: ends });
          } else if (name === "cols") {
            update({ cols: columns.map((column) => column.key).filter((key) => key === "name" || controls[`col-${key}`].checked) });
          } else if (name) update({ [name]: value });
        };
        root.addEventListener("input", read);
        link.addEventListener("click", async () => {
          try {
            await navigator.clipboard.writeText(location.href);
            link.textContent = "Copied";
          } catch {
            prompt("The address of what is shown:", location.href); // no clipboard without https
          }
          setTimeout(() => { link.textContent = "Copy link"; }, 2000);
        });
        csv.addEventListener("click", () => save("models.csv", "text/csv", toCsv(...tools.found)));
        json.addEventListener("click", () => save("models.json", "application/json", toJson(...tools.found)));
        reset.addEventListener("click", () => {
          document.activeElement.blur();
          unchoose();
          update(defaults(columns));
        });
        only.addEventListener("click", () => update({ models: state().models.length ? [] : chosen() }));
        more.addEventListener("click", showAll);
      },
    };
    return tools;
  }

  function save(name, type, text) {
    const link = element("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /* ---- the plot ---- */

  function draw(figure, models, columns, state, update) {
    const numbers = columns.filter((column) => column.number);
    const [x, y] = ["x", "y"].map((axis) => numbers.find((column) => column.key === state[axis]));
    if (!x || !y) return;
    if (!figure.firstChild) figure.append(plotControls(numbers, update), element("div"), element("figcaption", { "aria-live": "polite" }));
    const form = figure.firstChild;
    for (const axis of ["x", "y"]) {
      form.elements[axis].value = state[axis];
      form.elements[`log-${axis}`].checked = state.log.includes(axis);
    }
    const points = models.filter((model) => x.key in model.numbers && y.key in model.numbers);
    const front = paretoFront(points, x, y);
    figure.children[1].replaceChildren(points.length ? plotOf(points, front, x, y, state, figure.clientWidth || 700) : element("p", {}, "No model that is shown has both numbers."));
    const present = Object.entries(SHAPES).filter(([shape]) => points.some((model) => model.shapes[y.key] === shape));
    const legend = present.map(([, [sign, words]]) => `${sign} ${words}`).join(", ");
    figure.lastChild.textContent = points.length
      ? `${legend}. The line connects the best trade-offs: ${front.map((model) => model.name).join(", ")}. ${points.length} of the ${models.length} models shown have both numbers.`
      : "";
  }

  function plotControls(numbers, update) {
    const options = () => numbers.map((column) => element("option", { value: column.key }, column.label));
    const axis = (name, words) => [
      element("label", {}, element("span", {}, words), element("select", { name }, ...options())),
      element("label", { class: "cp-compare__pick" }, element("input", { type: "checkbox", name: `log-${name}` }), " logarithmic"),
    ];
    const form = element("form", { class: "cp-compare__filters cp-pareto__axes", "aria-label": "Plot" }, ...axis("y", "Vertical axis"), ...axis("x", "Horizontal axis"));
    form.addEventListener("input", () => {
      const log = ["x", "y"].filter((name) => form.elements[`log-${name}`].checked).join("");
      update({ x: form.elements.x.value, y: form.elements.y.value, log });
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    return form;
  }

  function plotOf(points, front, x, y, state, width) {
    const size = { width: Math.max(280, Math.min(width, 1100)) };
    size.height = Math.round(Math.max(260, Math.min(460, size.width * 0.55)));
    const edge = { left: 58, right: 20, top: 16, bottom: 46 };
    const scale = (column, from, to, axis) => {
      const values = points.map((model) => model.numbers[column.key]);
      const log = state.log.includes(axis) && Math.min(...values) > 0;
      const map = log ? Math.log10 : Number;
      let [low, high] = [Math.min(...values), Math.max(...values)].map(map);
      const pad = (high - low) * 0.07 || Math.abs(high) * 0.05 || 1;
      [low, high] = [low - pad, high + pad];
      if (!log && Math.min(...values) >= 0) low = Math.max(0, low);
      const place = (value) => from + ((map(value) - low) / (high - low)) * (to - from);
      return { place, marks: log ? ticks(10 ** low, 10 ** high, true) : ticks(low, high, false) };
    };
    const across = scale(x, edge.left, size.width - edge.right, "x");
    const up = scale(y, size.height - edge.bottom, edge.top, "y");
    const hints = { less: ", less is better", more: ", more is better", "": "" };
    const words = (column, room) => {
      const text = column.label + (points.some((model) => model.shown[column.key].endsWith("%")) ? " in %" : "");
      return text.length * 7 + hints[column.better].length * 7 < room ? text + hints[column.better] : text;
    };
    const at = (model) => [across.place(model.numbers[x.key]), up.place(model.numbers[y.key])];
    const best = new Set(front);

    const svg = element("svg:svg", { class: "cp-pareto__plot", viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-labelledby": "cp-plot-title cp-plot-text" },
      element("svg:title", { id: "cp-plot-title" }, `${y.label} against ${x.label}`),
      element("svg:desc", { id: "cp-plot-text" }, `${points.length} models. On the Pareto front: ${front.map((model) => `${model.name} with ${model.shown[x.key]} and ${model.shown[y.key]}`).join("; ")}.`));
    for (const mark of across.marks) {
      const left = across.place(mark);
      svg.append(element("svg:path", { class: "cp-pareto__grid", d: `M${left} ${edge.top}V${size.height - edge.bottom}` }),
        element("svg:text", { x: left, y: size.height - edge.bottom + 16, "text-anchor": "middle" }, short(mark)));
    }
    for (const mark of up.marks) {
      const top = up.place(mark);
      svg.append(element("svg:path", { class: "cp-pareto__grid", d: `M${edge.left} ${top}H${size.width - edge.right}` }),
        element("svg:text", { x: edge.left - 8, y: top + 4, "text-anchor": "end" }, short(mark)));
    }
    svg.append(
      element("svg:text", { class: "cp-pareto__axis", x: (edge.left + size.width - edge.right) / 2, y: size.height - 8, "text-anchor": "middle" }, words(x, size.width - edge.left)),
      element("svg:text", { class: "cp-pareto__axis", transform: `translate(14 ${(edge.top + size.height - edge.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, words(y, size.height - edge.bottom)),
      element("svg:path", { class: "cp-pareto__front", d: front.map(at).map(([left, top], i) => `${i ? "L" : "M"}${left} ${top}`).join("") }));
    const order = [...front, ...points.filter((model) => !best.has(model))];
    const labels = placeLabels(order, at, size, edge);
    for (const model of order) {
      const [left, top] = at(model);
      const link = element("svg:a", { href: model.link, class: best.has(model) ? "cp-pareto__best" : "cp-pareto__other" },
        element("svg:title", {}, `${model.name}: ${y.label} ${model.shown[y.key]}, ${x.label} ${model.shown[x.key]}`),
        element("svg:path", { class: `cp-pareto__${model.shapes[y.key]}`, d: SHAPES[model.shapes[y.key]][2], transform: `translate(${left} ${top})` }));
      const label = labels.get(model);
      if (label) link.append(element("svg:text", label, model.name));
      for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]]) {
        link.addEventListener(event, () => model.row.classList.toggle("cp-here", on));
      }
      svg.append(link);
    }
    return svg;
  }

  /** Return where names go beside their points: none over another name or point; those without room are left out. */
  function placeLabels(order, at, size, edge) {
    const taken = order.map((model) => { const [x, y] = at(model); return [x - 6, y - 6, x + 6, y + 6]; });
    const free = (box) => box[0] > edge.left && box[2] < size.width - 4 && box[1] > 2 && box[3] < size.height - edge.bottom &&
      taken.every((other) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
    const found = new Map();
    for (const model of order.slice(0, 60)) {
      const [x, y] = at(model);
      const width = model.name.length * 7;
      const places = [["start", x + 9, y + 4, 0], ["end", x - 9, y + 4, -1], ["middle", x, y - 11, -0.5], ["middle", x, y + 19, -0.5]];
      for (const [anchor, left, base, shift] of places) {
        const box = [left + width * shift, base - 10, left + width * (shift + 1), base + 3];
        if (free(box)) {
          taken.push(box);
          found.set(model, { x: left, y: base, "text-anchor": anchor });
          break;
        }
      }
    }
    return found;
  }

  const begin = () => document.querySelectorAll(".cp-compare").forEach(start);
  globalThis.cardproof = { ...globalThis.cardproof, compare: { defaults, parseState, formatState, parseNumber, select, paretoFront, csvCell, toCsv, toJson, ticks, short } };
  if (typeof document === "undefined") return;
  if (globalThis.document$) globalThis.document$.subscribe(begin);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
