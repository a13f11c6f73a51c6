/* On the page for addresses that do not exist: the models whose names are like the end of the address. */
(() => {
  "use strict";

  /** Return how many pairs of neighbouring letters two names share, from 0 to 1. */
  function likeness(a, b) {
    const pairs = (text) => new Set([...text.toLowerCase().replace(/[^a-z0-9]/g, "")].map((letter, i, all) => letter + (all[i + 1] || "")));
    const [first, second] = [pairs(a), pairs(b)];
    return (2 * [...first].filter((pair) => second.has(pair)).length) / (first.size + second.size || 1);
  }

  /** Return the entries of models.json that an address may have meant, the likeliest first. */
  function suggest(path, models) {
    const end = path.split("/").filter(Boolean).pop() || "";
    const asked = [end.replace(/\.html?$/, ""), path.split("#")[1] || ""];
    return models
      .map((entry) => [Math.max(...asked.map((name) => likeness(name, entry.name))), entry])
      .filter(([value]) => value > 0.5)
      .sort((a, b) => b[0] - a[0])
      .slice(0, 3)
      .map(([, entry]) => entry);
  }

  globalThis.cardproof = { ...globalThis.cardproof, notFound: { likeness, suggest } };
  const list = typeof document === "undefined" ? null : document.querySelector(".cp-not-found");
  if (!list) return;
  fetch(list.dataset.models)
    .then((answer) => answer.json())
    .then(({ models }) => {
      for (const entry of suggest(location.pathname + location.hash, models).reverse()) {
        const [item, link] = [document.createElement("li"), document.createElement("a")];
        link.href = list.dataset.root.replace(/index\.html$/, "") + entry.page;
        link.textContent = `The model ${entry.name}`;
        item.append(link);
        list.prepend(item);
      }
    })
    .catch(() => {}); // the links that are there stay
})();
