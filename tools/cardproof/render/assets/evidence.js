/* The viewer of evidence: reads a file of docs/evidence and shows it as tables. All texts are set as text, never as HTML. */
(() => {
  "use strict";

  /** Return the file of a model's record; null where only models.json knows it (see `file_name` of cardproof.evidence). */
  function recordFile(model) {
    return /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$/.test(model) ? `${model}.json` : null;
  }

  /** Return a number as a reader sees it. */
  function show(value) {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value === "number") return value.toLocaleString("en", { maximumFractionDigits: 6 });
    if (Array.isArray(value)) return value.join(" × ");
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  /** Return a way of counting in words, as the page of a model has it. */
  function wayOf(found) {
    const parts = [`${found.exact ? "exactly" : "about"} ${show(found.value)}:`];
    parts.push(found.factor === "1" ? "the" : `${found.factor} times the`, found.field === "flops" ? "multiply-adds" : "parameters");
    if (found.input) parts.push(`of a ${found.input.join("x")} input`);
    if (found.classes) parts.push(`with ${found.classes} classes`);
    if (found.counted.length) parts.push(`with ${found.counted.join(", ")} counted`);
    if (found.left_out.length) parts.push(`${found.counted.length ? "and " : ""}without ${found.left_out.join(", ")}`);
    return parts.join(" ") + (found.note ? `; ${found.note}` : "");
  }

  const percent = (fraction) => `${(100 * fraction).toFixed(2)}%`;

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function table(rows, head, label = "Table") {
    const cell = (value) => element("td", typeof value === "number" ? { class: "cp-number" } : {}, show(value));
    const body = rows.map(([name, ...values]) => element("tr", {}, element("th", { scope: "row" }, name), ...values.map(cell)));
    const top = head ? [element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text))))] : [];
    return element("div", { class: "cp-wide", tabindex: "0", role: "region", "aria-label": label },
      element("table", { class: "cp-plain" }, ...top, element("tbody", {}, ...body)));
  }

  function section(title, ...content) {
    for (const part of content) if (part.className === "cp-wide") part.setAttribute("aria-label", title);
    return [element("h2", {}, title), ...content];
  }

  function* recordParts(record) {
    const { counts, unrun, preprocessing, recipe, environment } = record;
    if (record.error) yield* section("Not measured", element("p", {}, record.error));
    if (record.refused) yield* section("Another image size", element("p", {}, record.refused));
    if (counts) {
      yield* section("Counts", table([
        ["Parameters", counts.parameters],
        [counts.uncounted ? `Multiply-adds without those of ${counts.uncounted.join(", ")}` : "Multiply-adds", counts.multiply_adds],
        ...(counts.merged ? [["Parameters in merged form", counts.merged.parameters], ["Multiply-adds in merged form", counts.merged.multiply_adds]] : []),
        ["Values in buffers", counts.buffers],
        ["Activations", counts.activations], ["Layers", counts.layers], ["Bytes of the state dict", counts.state_dict_bytes],
        ["Input", counts.input_shape], ["Output", counts.output_shape],
        ...(counts.head ? [["Classifier", `${show(counts.head.in_features)} to ${show(counts.head.classes)}${counts.head.bias ? ", with bias" : ""}`]] : []),
        ["Defined in", counts.source],
      ]));
      const parts = Object.entries(counts.parts).filter(([, number]) => number);
      if (parts.length) yield* section("Layers and blocks that ran", table(parts, ["Kind", "Count"]));
    }
    if (unrun) {
      yield* section("Could not be run", element("p", {}, `On one ${unrun.input_shape.join("x")} image: ${unrun.error}`));
      yield* section("Counts", table([
        ["Parameters", unrun.parameters], ["Values in buffers", unrun.buffers],
        ["Bytes of the state dict", unrun.state_dict_bytes], ["Defined in", unrun.source],
      ]));
    }
    if (record.reproductions.length) {
      yield* section("What explains the stated numbers", table(record.reproductions.map((found) => [`${show(found.stated)} ${found.field === "flops" ? "multiply-adds" : "parameters"}`, wayOf(found)])));
    }
    for (const result of record.evaluations || []) yield* evaluation(result);
    for (const result of record.outdated || []) yield* evaluation(result, " (outdated)");
    if (preprocessing) yield* section("Preprocessing of the zoo", table(Object.entries(preprocessing).filter(([, value]) => value !== null).map(([key, value]) => [words(key), Array.isArray(value) ? value.join(", ") : value])));
    if (recipe) yield* section("Training recipe", table([["Name", recipe.name], ["Stated in", recipe.source], ...recipe.values, ["Techniques", recipe.techniques.join(", ")]]));
    if ((record.inputs || []).length) yield* section("What it depends on", element("p", {}, "This evidence is valid as long as all of this stays the same."), table(record.inputs.map(([name, value]) => [words(name), name === "stated counts" ? value.replace(/(?<![.\d])\d{4,}/g, (digits) => show(Number(digits))) : value])));
    yield* section("Environment", table(Object.entries(environment).map(([key, value]) => [words(key), value])));
    const name = /^[\w.-]+$/.test(record.model) ? record.model : `'${record.model.replaceAll("'", "'\\''")}'`;
    yield* section("How to repeat it", element("pre", {}, element("code", {}, `cardproof render --force ${name}`)),
      element("p", {}, "The seal is a digest of all other fields, which detects edits by hand: ", element("code", {}, record.seal)));
  }

  function* evaluation(result, note = "") {
    yield* section(`Result on ${title(result.dataset)}${note}`, table([
      ["Images", result.images], ["Split", result.split],
      ["Top-1", `${show(result.top1)} right, ${percent(result.top1 / result.images)} (95 % interval ${result.top1_interval.map(percent).join(" to ")})`],
      ["Top-5", `${show(result.top5)} right, ${percent(result.top5 / result.images)} (95 % interval ${result.top5_interval.map(percent).join(" to ")})`],
      ["Mean cross entropy", result.loss], ["Expected calibration error", percent(result.calibration_error)],
      ["Close calls", result.close_calls], ["Weights", `${result.weights}, ${result.weights_digest}`], ["Data", result.data_digest],
      ["Measured", `${result.environment.measured.slice(0, 10)}, ${result.environment.device}, torch ${result.environment.torch}`],
    ]));
    if (result.classes.length && result.classes.length <= 20) {
      const rows = result.confusion.map((line, i) => [result.classes[i], ...line.split(" ").map(Number)]);
      const wide = table(rows, ["Class", ...result.classes], `Confusion on ${title(result.dataset)}`);
      wide.classList.add("cp-confusion");
      for (const row of wide.querySelectorAll("tbody tr")) {
        const cells = [...row.cells].slice(1);
        const total = cells.reduce((sum, cell) => sum + Number(cell.textContent.replaceAll(",", "")), 0) || 1;
        for (const cell of cells) cell.style.setProperty("--share", `${Math.round(30 * Number(cell.textContent.replaceAll(",", "")) / total)}%`);
      }
      yield element("h3", {}, "Confusion: a row for each true class, a column for each predicted one");
      yield wide;
    }
  }

  const title = (dataset) => (dataset === "FashionMNIST" ? "Fashion-MNIST" : dataset);

  function words(key) {
    const text = key.replaceAll("_", " ");
    return text[0].toUpperCase() + text.slice(1);
  }

  async function json(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
  }

  async function start(root) {
    if (root.dataset.ready) return;
    root.dataset.ready = "true";
    const model = new URLSearchParams(location.search).get("model") || "";
    const place = element("div", { "aria-live": "polite" });
    root.replaceChildren(place);
    let listed = null;
    const list = async () => (listed ??= (await json(root.dataset.models)).models.filter((entry) => entry.evidence));
    try {
      if (!model) {
        const names = (await list()).map((entry) => entry.name);
        const link = (name) => element("a", { href: `?${new URLSearchParams({ model: name })}` }, element("code", {}, name));
        root.prepend(picker(names, ""));
        place.append(element("p", {}, "Choose a model to see its evidence."),
          element("ul", { class: "cp-viewer__models" }, ...names.map((name) => element("li", {}, link(name)))));
        return;
      }
      const file = recordFile(model) || (await list()).find((entry) => entry.name === model)?.evidence.split("/").pop();
      if (!file) throw new Error("no file of that name");
      const record = await json(root.dataset.records + file);
      document.title = `Evidence of ${record.model}`;
      place.append(element("h2", {}, element("code", {}, record.model)),
        element("p", {}, element("a", { href: root.dataset.records + file }, "Evidence as JSON"), ` · ${record.zoo}`, record.known_as === record.model ? "" : `, where it is named ${record.known_as}`),
        ...recordParts(record));
      const entries = await list();
      const entry = entries.find((other) => other.name === record.model);
      if (entry) place.children[1].append(" · ", element("a", { href: root.dataset.root + entry.page }, "Model page"));
      root.prepend(picker(entries.map((other) => other.name), record.model));
    } catch (trouble) {
      const text = model ? `No evidence of ${model} can be shown (${trouble.message}).` : `The list of models cannot be read (${trouble.message}).`;
      place.append(element("p", { role: "alert" }, text));
    }
  }

  function picker(names, chosen) {
    const options = names.map((name) => element("option", { value: name }, name));
    const box = element("select", { name: "model" }, element("option", { value: "" }, "Choose a model"), ...options);
    box.value = chosen;
    box.addEventListener("change", () => { location.search = box.value ? new URLSearchParams({ model: box.value }) : ""; });
    return element("form", { class: "cp-viewer__pick" }, element("label", {}, element("span", {}, "Model"), box));
  }

  const begin = () => document.querySelectorAll(".cp-viewer").forEach(start);
  globalThis.cardproof = { ...globalThis.cardproof, evidence: { recordFile, show, wayOf } };
  if (typeof document === "undefined") return;
  if (globalThis.document$) globalThis.document$.subscribe(begin);
  else if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
