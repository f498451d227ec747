/* Differences of two generators, measure by measure, as a table with a forest plot in it. */
"use strict";

(function (clip360) {
  const WIDTH = 280, HEIGHT = 30, UNDECIDED = "cannot be decided";
  const { element, foreign, number } = clip360;

  /**
   * Draw the rows of one pair of comparison.json into `container`; `metrics` says what they measure.
   *
   * All CLIP scores share one axis, in points; faults share another, in multiples of their thresholds. In both, the first
   * generator is better on the right.
   */
  clip360.forest = function (container, { a, b, rows }, metrics) {
    const byName = Object.fromEntries(metrics.map((metric) => [metric.name, metric]));
    const isFault = (row) => byName[row.metric].visible_above !== null;
    const groups = [
      ["CLIP scores (points)", rows.filter((row) => !isFault(row))],
      ["Faults (multiples of the threshold)", rows.filter(isFault)],
    ];
    const sides = element("span", { class: "directions-of" }, element("span", {}, "← ", foreign(b), " better"), element("span", {}, foreign(a), " better →"));
    const words = ["", sides, foreign(a), foreign(b), "difference", "win rate", "detectable", "p, corrected", "verdict"];
    const heads = words.map((word, k) =>
      element(word ? "th" : "td", { scope: word ? "col" : null, class: k > 1 && k < 8 ? "numeric" : null }, word));
    const bodies = groups.filter(([, of]) => of.length).map(([title, of]) => body(title, of, byName, a, b));
    container.replaceChildren(
      element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Differences" },
        element("table", { class: "small forest" }, element("thead", {}, element("tr", {}, heads)), bodies))
    );
  };

  function body(title, rows, byName, a, b) {
    const unit = (row) => byName[row.metric].visible_above ?? 1;
    const sign = (row) => (byName[row.metric].lower_is_better ? -1 : 1);
    const ends = rows.flatMap((row) => [row.difference_low, row.difference_high].map((value) => Math.abs(value) / unit(row)));
    const axis = clip360.axis(0, Math.max(...ends, 1e-9), 2), limit = axis.high;
    const toX = (value) => WIDTH / 2 + (Math.max(-limit, Math.min(limit, value)) / limit) * (WIDTH / 2 - 8);
    const head = element(
      "tr", { class: "group" }, element("th", { scope: "rowgroup" }, title),
      element("td", {}, scale(axis, toX)), element("td", { colspan: 7 })
    );
    return element("tbody", {}, head, rows.map((row) => line(row, byName[row.metric], { toX, unit: unit(row), sign: sign(row), a, b })));
  }

  function line(row, metric, { toX, unit, sign, a, b }) {
    const decided = row.verdict !== UNDECIDED;
    const lower = metric.lower_is_better ? " ↓" : "";
    return element(
      "tr", {}, element("th", { scope: "row", title: metric.meaning }, metric.label, lower && element("span", { title: "lower is better" }, lower)),
      element("td", {}, plot(row, { toX, decided, scale: sign / unit, a, b })),
      element("td", { class: "numeric" }, number(row.mean_a)), element("td", { class: "numeric" }, number(row.mean_b)),
      element("td", { class: "numeric" }, clip360.interval({ mean: row.difference, low: row.difference_low, high: row.difference_high })),
      element("td", { class: "numeric" }, clip360.interval({ mean: row.win_rate, low: row.win_rate_low, high: row.win_rate_high })),
      element("td", { class: "numeric" }, number(row.detectable)),
      element("td", { class: "numeric" }, row.p_holm < 0.001 ? row.p_holm.toExponential(0).replace("-", "−") : number(row.p_holm, 3)),
      element("td", { class: "verdict-cell" }, decided ? [foreign(row.verdict), " is better"] : row.verdict)
    );
  }

  function plot(row, { toX, decided, scale, a, b }) {
    const svg = clip360.svg, middle = HEIGHT / 2;
    const [x, one, other] = [row.difference, row.difference_low, row.difference_high].map((value) => toX(value * scale));
    const side = row.difference * scale > 0 ? a : b;
    const label = decided ? `${side} is better` : "cannot be decided";
    const node = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label });
    if (row.detectable !== null) {
      const reach = toX(Math.abs(row.detectable * scale)) - toX(0);
      node.append(svg("rect", { class: "detectable", x: WIDTH / 2 - reach, width: 2 * reach, y: 5, height: HEIGHT - 10 }));
    }
    node.append(
      svg("line", { class: "zero", x1: WIDTH / 2, x2: WIDTH / 2, y1: 0, y2: HEIGHT }),
      svg("line", { class: "whisker", x1: one, x2: other, y1: middle, y2: middle }),
      svg("circle", { class: decided ? "mark decided" : "mark", cx: x, cy: middle, r: 5 })
    );
    return node;
  }

  function scale(axis, toX) {
    const svg = clip360.svg, text = { y: 14, "text-anchor": "middle" };
    const node = svg("svg", { viewBox: `0 0 ${WIDTH} 18`, width: WIDTH, height: 18, "aria-hidden": "true" });
    node.append(
      svg("text", { ...text, x: toX(0), text: "0" }),
      svg("text", { ...text, x: toX(-axis.high), "text-anchor": "start", text: axis.format(axis.high) }),
      svg("text", { ...text, x: toX(axis.high), "text-anchor": "end", text: axis.format(axis.high) })
    );
    return node;
  }
})((window.clip360 = window.clip360 || {}));
