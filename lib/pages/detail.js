/* One panorama, or two side by side, in a dialog: the viewer, the scores by yaw, the seam enlarged, and tables of numbers. */
"use strict";

(function (clip360) {
  const SEAM_SCALE = 4;
  const { element, foreign } = clip360;

  /**
   * Fill `dialog` with panoramas. Returns { open(view) }; a view is
   *
   * title, note, caption   text; title and caption may be that of others
   * sides      one or two { heading, image, folder, picture, yaw, plots: [{ title, scores: [[yaw, score]] }] }: `folder` and
   *            `picture` are those of loadPicture, `yaw` is where the camera looks at first
   * faults     a node beside the seam, of one side
   * tables     nodes
   * previous, next   functions that open others, or nothing
   */
  clip360.detail = function (dialog) {
    let sides = [];
    const close = () => {
      sides.forEach((side) => side.close());
      sides = [];
    };
    dialog.addEventListener("close", close);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

    function open(view) {
      close();
      const turn = (yaw) => sides.forEach((side) => side.turnTo(yaw));
      sides = view.sides.map((side) => openSide(side, turn));
      const caption = element("p", { class: "caption" }, foreign(view.caption));
      const columns =
        sides.length === 1
          ? [
              element("div", {}, sides[0].stage, directions(view.sides, turn), caption,
                element("div", { class: "faults" }, sides[0].seam, view.faults)),
              element("div", { class: "numbers" }, sides[0].plots, view.tables),
            ]
          : sides.map((side, k) =>
              element("div", {}, element("h3", {}, foreign(view.sides[k].heading)), side.stage, side.plots, side.seam));
      const both = (...nodes) => (sides.length > 1 ? [element("div", { class: "both" }, nodes)] : []);
      dialog.replaceChildren(
        bar(dialog, view), ...both(caption, directions(view.sides, turn)),
        element("div", { class: sides.length > 1 ? "columns equal" : "columns" }, columns), ...both(view.tables)
      );
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
    }
    return { open };
  };

  /** The stage, the plots and the seam of a panorama, as nodes that fill themselves, with { turnTo(yaw), close() }. */
  function openSide(side, turn) {
    const stage = element("div", { class: "stage" }, element("p", { class: "loading" }, "Loading the panorama …"));
    const seam = element("div", { class: "seam" });
    const places = side.plots.map(({ title }) => element("section", {}, element("h3", {}, title), element("div")));
    const plots = side.plots.map(({ scores }, k) => clip360.yawPlot(places[k].lastChild, { scores, onPick: turn }));
    const follow = (yaw) => plots.forEach((plot) => plot.setYaw(yaw));
    let viewer = null, isClosed = false;
    follow(side.yaw);

    async function load() {
      try {
        if (!side.picture) throw new Error("There is no picture of this panorama.");
        const urls = await clip360.loadPicture(side.folder, side.picture);
        if (isClosed) return;
        seam.append(...seamStrip(urls.seam));
        const label = `Panorama ${side.image}`;
        const shown = await clip360.openViewer(stage, { image: urls.panorama, label, yaw: side.yaw, onYaw: follow });
        if (isClosed) shown.close();
        else viewer = shown;
      } catch (error) {
        if (!isClosed) stage.replaceChildren(element("p", { class: "loading" }, error.message));
      }
    }
    load();
    return {
      stage, seam, plots: places,
      turnTo: (yaw) => viewer?.turnTo(yaw),
      close() {
        isClosed = true;
        viewer?.close();
      },
    };
  }

  function bar(dialog, { title, note, previous, next }) {
    const button = (text, act, attributes = {}) =>
      element("button", { type: "button", disabled: act ? null : "", on: { click: act ?? (() => {}) }, ...attributes }, text);
    return element(
      "div", { class: "bar" },
      element("h2", { id: "detail-title" }, foreign(title), note && element("small", {}, note)),
      button("Previous", previous), button("Next", next), button("Close", () => dialog.close(), { autofocus: "" })
    );
  }

  function directions(sides, turn) {
    const to = (text, yaw) => element("button", { type: "button", on: { click: () => turn(yaw) } }, text);
    const worst = sides.map(({ heading, yaw }) =>
      to([sides.length > 1 ? [foreign(heading), ": "] : [], `Worst direction (${clip360.yawText(yaw)})`].flat(), yaw));
    return element("div", { class: "directions" }, worst, to("Middle (0°)", 0), to("Seam (180°)", 180));
  }

  /** The seam from top to bottom, enlarged pixel by pixel, and scrolled to the horizon. */
  function seamStrip(url) {
    const picture = element("img", { src: url, alt: "The columns around the seam, enlarged" });
    const strip = element("div", { class: "strip", tabindex: 0, role: "region", "aria-label": "The seam from top to bottom" }, picture);
    picture.addEventListener("load", () => {
      picture.width = picture.naturalWidth * SEAM_SCALE;
      strip.scrollTo((strip.scrollWidth - strip.clientWidth) / 2, (strip.scrollHeight - strip.clientHeight) / 2);
    });
    const arrow = (sign) => element("span", { class: "arrow", "aria-hidden": "true" }, sign);
    return [
      element("h3", {}, "The seam, enlarged"), arrow("▼"), strip, arrow("▲"),
      element("p", { class: "hint" }, `Left of the arrows the last columns, right of them the first; a pixel is ${SEAM_SCALE} × ${SEAM_SCALE}. Scroll to the poles.`),
    ];
  }

  /** A table of a few rows: `head` is a list of words, `rows` of lists of text or nodes; all but the first are numeric. */
  clip360.smallTable = function (title, head, rows, { words = [] } = {}) {
    const kind = (k) => ({ class: k && !words.includes(k) ? "numeric" : null });
    const line = (cells) =>
      element("tr", {}, cells.map((cell, k) => element(k ? "td" : "th", k ? kind(k) : { scope: "row" }, cell)));
    const heads = head.map((word, k) => element(word ? "th" : "td", { scope: word ? "col" : null, ...kind(k) }, word));
    return element(
      "section", {}, title && element("h3", {}, title),
      element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title || "Numbers" },
        element("table", { class: "small" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows.map(line))))
    );
  };
})((window.clip360 = window.clip360 || {}));
