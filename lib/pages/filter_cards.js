/* A card for each column: what it means, its distribution with the mean and its interval, and a range to filter by. */
"use strict";

(function (clip360) {
  const { element } = clip360;

  /**
   * Draw the cards of `columns` of a table into `container`; `setRange(name, [low, high])` is called with what was chosen.
   * Returns { show(rows, ranges) }.
   */
  clip360.filterCards = function (container, columns, table, setRange) {
    const cards = columns.map((column) => card(column, table.values[column.name], setRange));
    container.replaceChildren(...cards.map(({ node }) => node));
    return { show: (rows, ranges) => cards.forEach(({ name, show }) => show(rows, ranges[name])) };
  };

  function card({ name, label, definition, threshold, fault, mean }, values, setRange) {
    const place = element("div");
    const plot = clip360.histogram(place, {
      values, mean, threshold, label: `Distribution of ${label}`, onRange: (range) => setRange(name, range),
    });
    const [low, high] = ["from", "to"].map((word) =>
      element("input", { type: "number", step: "any", placeholder: word, "aria-label": `${label}, ${word}`, "data-range": `${name} ${word}` })
    );
    const read = (input) => (input.value === "" ? null : Number(input.value));
    for (const input of [low, high]) input.addEventListener("change", () => setRange(name, [read(low), read(high)]));
    const above = threshold === null ? 0 : values.filter((value) => value > threshold).length;
    const node = element(
      "section", { class: "card" },
      element("h3", {}, label, element("span", { class: "mean-text" }, mean ? clip360.interval(mean) : "")),
      element("p", {}, definition, threshold === null ? null : ` ${above} of ${values.length} above ${threshold}: ${fault}.`),
      place, element("div", { class: "limits" }, low, "–", high)
    );
    const show = (rows, range) => {
      plot.show(rows, range);
      [low.value, high.value] = range.map((value) => value ?? "");
      node.classList.toggle("active", range.some((value) => value !== null));
    };
    return { name, node, show };
  }
})((window.clip360 = window.clip360 || {}));
