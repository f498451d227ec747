/* One panorama in a dialog: the viewer, its scores by yaw, its seam enlarged, and tables of its numbers. */
"use strict";

(function (clip360) {
  const SEAM_SCALE = 4;
  const { element, foreign } = clip360;

  /**
   * Fill `dialog` with panoramas. Returns { open(panorama, neighbours) }:
   *
   * panorama    { image, caption, note, folder, picture, yaw, plots: [{ title, scores: [[yaw, score]] }], tables: [node], faults: node }:
   *             `folder` and `picture` are those of loadPicture, `yaw` is where the camera looks at first
   * neighbours  { previous, next }: functions that open others, or nothing
   */
  clip360.detail = function (dialog) {
    let viewer = null, opened = 0;
    const close = () => {
      opened++;
      viewer?.close();
      viewer = null;
    };
    dialog.addEventListener("close", close);
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

    async function open(panorama, { previous, next } = {}) {
      close();
      const ticket = opened;
      const stage = element("div", { class: "stage" }, element("p", { class: "loading" }, "Loading the panorama …"));
      const seam = element("div", { class: "seam" });
      const plots = panorama.plots.map((plot) => ({ ...plot, place: element("div") }));
      const turn = (yaw) => viewer?.turnTo(yaw);
      const drawn = plots.map(({ place, scores }) => clip360.yawPlot(place, { scores, onPick: turn }));
      const follow = (yaw) => drawn.forEach((plot) => plot.setYaw(yaw));
      follow(panorama.yaw);
      dialog.replaceChildren(
        bar(dialog, panorama, previous, next),
        element("div", { class: "columns" },
          element("div", { class: "picture" }, stage, directions(panorama, turn), caption(panorama),
            element("div", { class: "faults" }, seam, panorama.faults)),
          element("div", { class: "numbers" },
            plots.map(({ title, place }) => element("section", {}, element("h3", {}, title), place)), panorama.tables))
      );
      if (!dialog.open) dialog.showModal();
      dialog.scrollTop = 0;
      try {
        if (!panorama.picture) throw new Error("There is no picture of this panorama.");
        const urls = await clip360.loadPicture(panorama.folder, panorama.picture);
        if (ticket !== opened) return;
        seam.append(...seamStrip(urls.seam));
        const strip = seam.querySelector(".strip"), picture = strip.firstChild;
        picture.decode().then(() => (strip.scrollTop = (strip.scrollHeight - strip.clientHeight) / 2), () => {});
        const label = `Panorama ${panorama.image}`;
        const shown = await clip360.openViewer(stage, { image: urls.panorama, label, yaw: panorama.yaw, onYaw: follow });
        if (ticket === opened) viewer = shown;
        else shown.close();
      } catch (error) {
        if (ticket === opened) stage.replaceChildren(element("p", { class: "loading" }, error.message));
      }
    }
    return { open };
  };

  function bar(dialog, panorama, previous, next) {
    const button = (text, act, attributes = {}) =>
      element("button", { type: "button", disabled: act ? null : "", on: { click: act ?? (() => {}) }, ...attributes }, text);
    return element(
      "div", { class: "bar" },
      element("h2", { id: "detail-title" }, foreign(panorama.image), panorama.note && element("small", {}, panorama.note)),
      button("Previous", previous), button("Next", next), button("Close", () => dialog.close(), { autofocus: "" })
    );
  }

  function caption({ caption: text }) {
    return element("p", { class: "caption" }, foreign(text));
  }

  function directions(panorama, turn) {
    const to = (text, yaw) => element("button", { type: "button", on: { click: () => turn(yaw) } }, text);
    return element(
      "div", { class: "directions" },
      to(`${panorama.yawName ?? "Worst direction"} (${clip360.yawText(panorama.yaw)})`, panorama.yaw),
      to("Middle (0°)", 0), to("Seam (180°)", 180)
    );
  }

  /** The seam from top to bottom, enlarged pixel by pixel. */
  function seamStrip(url) {
    const picture = element("img", { src: url, alt: "The columns around the seam, enlarged" });
    picture.addEventListener("load", () => (picture.width = picture.naturalWidth * SEAM_SCALE));
    return [
      element("h3", {}, "The seam, enlarged"),
      element("p", { class: "hint" }, `The last columns left of the arrows, the first ones right of them, each pixel ${SEAM_SCALE} × ${SEAM_SCALE}. Scroll to the poles.`),
      element("span", { class: "arrow", "aria-hidden": "true" }, "▼"),
      element("div", { class: "strip", tabindex: 0, role: "region", "aria-label": "The seam from top to bottom" }, picture),
      element("span", { class: "arrow", "aria-hidden": "true" }, "▲"),
    ];
  }

  /** A table of a few rows: `head` is a list of words, `rows` of lists of text or nodes; all but the first are numeric. */
  clip360.smallTable = function (title, head, rows, { words = [] } = {}) {
    const kind = (k) => ({ class: k && !words.includes(k) ? "numeric" : null });
    const line = (cells) => element("tr", {}, cells.map((cell, k) => element(k ? "td" : "th", k ? kind(k) : { scope: "row" }, cell)));
    return element(
      "section", {}, element("h3", {}, title),
      element("div", { class: "wide" }, element("table", { class: "small" },
        element("thead", {}, element("tr", {}, head.map((word, k) => element("th", { scope: "col", ...kind(k) }, word)))),
        element("tbody", {}, rows.map(line))))
    );
  };
})((window.clip360 = window.clip360 || {}));
