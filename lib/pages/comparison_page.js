/* The page of `clip360 compare`: the differences of the chosen pair, and the panoramas where each generator fails. */
"use strict";

(function (clip360) {
  const { element, foreign, number } = clip360;
  const data = clip360.pageData();
  const { metrics, pairs, panoramas, pictures } = data;
  const panel = clip360.detail(document.getElementById("detail"));
  const select = document.getElementById("metric");
  let chosen = 0;

  select.replaceChildren(...metrics.map(({ name, label }) => element("option", { value: name }, label)));
  select.value = firstDecided(pairs[0]) ?? "robust";
  select.addEventListener("change", showFailures);
  for (const button of document.querySelectorAll("[data-pair]")) {
    button.addEventListener("click", () => {
      choose(Number(button.dataset.pair));
      document.getElementById("differences").scrollIntoView();
    });
  }

  function firstDecided({ better }) {
    return metrics.map(({ name }) => name).find((name) => !better.undecided.includes(name));
  }

  function choose(index) {
    chosen = index;
    const pair = pairs[index];
    for (const button of document.querySelectorAll("[data-pair]")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.pair) === index));
    }
    document.getElementById("pair-name").replaceChildren(foreign(pair.a), " and ", foreign(pair.b));
    clip360.forest(document.getElementById("forest"), pair, metrics);
    showFailures();
  }

  function showFailures() {
    const pair = pairs[chosen], metric = metrics.find(({ name }) => name === select.value);
    const lists = ["a", "b"].map((who) => failureList(pair, who, pair.failures[metric.name][who], metric));
    document.getElementById("failures-list").replaceChildren(...lists);
  }

  /** The panoramas in which one generator of a pair loses most. */
  function failureList(pair, loser, rows, metric) {
    const winner = loser === "a" ? "b" : "a", isPaired = pair.pairing === "caption";
    const title = isPaired
      ? [foreign(pair[loser]), ` falls behind `, foreign(pair[winner]), ` most in ${metric.label}`]
      : [foreign(pair[loser]), ` is worst in ${metric.label}`];
    const cards = rows.map((row, k) => card(pair, rows, k, loser, metric));
    const none = element("p", { class: "hint" }, "No panorama.");
    return element("section", {}, element("h3", {}, title), cards.length ? element("div", { class: "failures" }, cards) : none);
  }

  /** The panoramas of a row, that of the loser first: [generator, image, panorama]. */
  function sidesOf(pair, row, loser) {
    const order = loser === "a" ? ["a", "b"] : ["b", "a"];
    return order
      .map((who) => [pair[who], row[`image_${who}`]])
      .filter(([, image]) => image !== undefined)
      .map(([generator, image]) => [generator, image, panoramas[generator][image]]);
  }

  function card(pair, rows, k, loser, metric) {
    const sides = sidesOf(pair, rows[k], loser);
    const shown = sides.map(([generator, , panorama]) =>
      element("span", { class: "side" }, clip360.thumbnail(pictures.thumbnails, panorama.picture),
        element("span", {}, foreign(generator), " ", element("b", {}, number(panorama.values[metric.name])))));
    return element(
      "button", { type: "button", class: "pair", on: { click: () => openPair(pair, rows, k, loser, metric) } },
      element("span", { class: "sides" }, shown), element("span", { class: "text" }, foreign(sides[0][2].caption))
    );
  }

  function openPair(pair, rows, k, loser, metric) {
    const sides = sidesOf(pair, rows[k], loser);
    const to = (other) => (rows[other] ? () => openPair(pair, rows, other, loser, metric) : undefined);
    const values = metrics.map(({ name, label, lower_is_better: lower, visible_above: threshold }) => {
      const cells = sides.map(([, , { values: of }]) =>
        element("span", { class: threshold !== null && of[name] > threshold ? "fault" : null }, number(of[name])));
      return [lower ? `${label} ↓` : label, ...cells, threshold === null ? "" : `fault above ${threshold}`];
    });
    panel.open({
      title: sides.map(([, image]) => image).filter((image, n, all) => all.indexOf(image) === n).join(", "),
      note: `${metric.label}, ${k + 1} of ${rows.length}`, caption: sides[0][2].caption,
      sides: sides.map(([generator, image, panorama]) => ({
        heading: generator, image, folder: pictures.panoramas, picture: panorama.picture, yaw: panorama.yaw,
        plots: panorama.scores.length ? [{ title: "Score by yaw", scores: panorama.scores }] : [],
      })),
      tables: [clip360.smallTable("Measures", ["", ...sides.map(([generator]) => foreign(generator)), "threshold"], values, { words: [sides.length + 1] })],
      previous: to(k - 1), next: to(k + 1),
    });
  }

  clip360.themeSwitch(document.getElementById("theme"));
  choose(0);
})((window.clip360 = window.clip360 || {}));
