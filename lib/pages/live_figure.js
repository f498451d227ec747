/* The page of live_figure.html: one state (panorama, words of the text, yaw), drawn anew when it changes. */
"use strict";

(function (clip360) {
  const { element } = clip360;
  const data = clip360.pageData();
  const VIEWS = [["center_crop", "Centre crop"], ["squash", "Shown whole, squashed"]];
  const TURN = 9000; // milliseconds of a whole turn
  const zero = data.yaws.indexOf(0), step = 360 / data.yaws.length;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const byId = (id) => document.getElementById(id);
  const fixed = (value) => clip360.number(value, 1);
  const signed = (value) => `${value < 0 ? "" : "+"}${fixed(value)}`;
  const state = { panorama: 0, condition: Object.keys(data.panoramas[0].cues)[0], yaw: 0 };

  const around = Array.from({ length: data.camera.views }, () => element("canvas"));
  byId("around").append(...around);
  const slider = byId("panorama");
  const views = clip360.panoramaViews(
    { panorama: slider.querySelector("canvas"), crop: byId("crop"), whole: byId("whole"), around },
    { fov: data.camera.fov }
  );
  const pictures = data.panoramas.map(({ picture, caption, place }) => {
    return element("img", { src: picture, alt: `${place}: ${caption}` });
  });

  /** The number of the measured yaw nearest to the camera's. */
  const nearest = () => ((Math.round((state.yaw - data.yaws[0]) / step) % data.yaws.length) + data.yaws.length) % data.yaws.length;

  // ------------------------------------------------------------------------------------------------- panorama and text
  let group;
  data.panoramas.forEach(({ place }, k) => {
    if (!k || place !== data.panoramas[k - 1].place) {
      group = element("div", { class: "place" }, element("span", {}, place));
      byId("choice").append(group);
    }
    group.append(element("button", { type: "button", on: { click: () => choose({ panorama: k }) } }, pictures[k]));
  });
  const thumbnails = [...byId("choice").querySelectorAll("button")];

  const options = Object.keys(data.panoramas[0].cues).map((condition) => {
    const on = { change: () => choose({ condition }) };
    const input = element("input", { type: "radio", name: "cue", value: condition, on }), words = element("span");
    byId("cues").append(element("label", {}, input, words));
    return { condition, input, words };
  });

  /** Show another panorama or text; the camera stays where it is. */
  async function choose(change) {
    Object.assign(state, change);
    const chosen = data.panoramas[state.panorama], number = state.panorama;
    await pictures[number].decode();
    if (number !== state.panorama) return; // another one was chosen meanwhile
    thumbnails.forEach((button, k) => button.setAttribute("aria-pressed", k === state.panorama));
    for (const { condition, input, words } of options) {
      input.checked = condition === state.condition;
      words.textContent = `“${chosen.cues[condition]}”`;
    }
    byId("text").textContent = chosen.texts[state.condition];
    views.show(pictures[number]);
    drawCharts();
    draw();
  }

  // ----------------------------------------------------------------------------------------------------------- charts
  let cells = []; // of { chart, numbers, plot, curve }
  let width = 0; // of all charts when they were drawn

  const charts = byId("charts");
  charts.append(
    element("div", { class: "head" }, element("span"), VIEWS.map(([view, words]) => element("h3", { class: view }, words)))
  );
  const rows = data.models.map((model) => {
    const summary = element("p", { class: "summary" });
    const slots = VIEWS.map(([view]) => ({ view, numbers: element("p", { class: "numbers" }), plot: element("div", { class: "plot" }) }));
    charts.append(
      element("div", { class: "model" },
        element("div", { class: "name" }, element("h4", {}, model.label), summary),
        slots.map(({ view, numbers, plot }) => element("div", { class: `cell ${view}` }, numbers, plot)))
    );
    return { model, summary, slots };
  });

  function drawCharts() {
    if (!charts.clientWidth) return; // not laid out yet: the observer below draws them
    width = charts.clientWidth;
    const { set, place } = data.panoramas[state.panorama];
    cells = rows.flatMap(({ model, summary, slots }) => {
      const curves = data.curves[state.panorama][state.condition][model.name];
      const all = (data.summaries[set] || {})[model.name];
      if (all) {
        summary.textContent =
          `${all.n} panoramas ${place}: over a turn the score varies by ${fixed(all.crop)} points under the crop ` +
          `(${Math.round(100 * all.content)} % of the variance is content), by ${fixed(all.whole)} shown whole.`;
      }
      const range = clip360.commonRange(Object.values(curves), zero);
      return slots.map(({ view, numbers, plot }, k) => {
        const curve = curves[view], { scores, beta } = curve;
        const label =
          `${model.label}, ${VIEWS[k][1].toLowerCase()}: the score runs from ${fixed(Math.min(...scores))} to ` +
          `${fixed(Math.max(...scores))} over a turn; ${fixed(scores[zero])} at 0°, bound ±${fixed(beta)}`;
        return { curve, numbers, plot, chart: clip360.turnChart(plot, { yaws: data.yaws, ...curve, range, label }) };
      });
    });
  }

  /** The score here, its change and the bound, and the extremes over the turn. */
  function writeNumbers({ curve: { scores, beta }, numbers }, k) {
    const change = scores[k] - scores[zero], out = Math.abs(change) > beta;
    numbers.replaceChildren(
      element("b", {}, fixed(scores[k])),
      element("span", { class: out && "out" }, `${signed(change)}, ${out ? "outside" : "within"} ±${fixed(beta)}`),
      element("span", { class: "extremes" }, `whole turn: ${fixed(Math.min(...scores))}–${fixed(Math.max(...scores))}`)
    );
  }

  // ------------------------------------------------------------------------------------------------------------- yaw
  function draw() {
    const k = nearest(), yaw = data.yaws[k];
    views.turn(state.yaw);
    for (const cell of cells) {
      cell.chart.mark(k);
      writeNumbers(cell, k);
    }
    const degrees = `${Math.abs(yaw).toFixed(1).replace(".0", "")}°`;
    const words = yaw === 0 ? "0°, as the picture is" : yaw === -180 ? "180°, behind" : `${degrees} to the ${yaw < 0 ? "left" : "right"}`;
    byId("direction").textContent = `Camera turned ${words}`.replace("turned 0°", "at 0°");
    slider.setAttribute("aria-valuenow", yaw);
    slider.setAttribute("aria-valuetext", words);
    slider.dataset.yaw = yaw;
  }

  /** Turn the camera to a yaw; `settle` ends at a measured one. */
  function turnTo(yaw, { settle = false } = {}) {
    state.yaw = clip360.wrapYaw(yaw);
    if (settle) state.yaw = data.yaws[nearest()];
    draw();
  }

  let playing = null;

  function stop() {
    cancelAnimationFrame(playing);
    playing = null;
    byId("turn").textContent = "Turn once";
  }

  byId("turn").addEventListener("click", () => {
    if (playing !== null) {
      stop();
      return turnTo(state.yaw, { settle: true });
    }
    const from = state.yaw, begin = performance.now();
    byId("turn").textContent = "Stop";
    const frame = (now) => {
      const turned = Math.min((now - begin) / TURN, 1) * 360;
      turnTo(from + (calm.matches ? 45 * Math.floor(turned / 45) : turned)); // in jumps for those who want less motion
      if (turned < 360) playing = requestAnimationFrame(frame);
      else stop();
    };
    playing = requestAnimationFrame(frame);
  });
  byId("reset").addEventListener("click", () => {
    stop();
    turnTo(0);
  });

  slider.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, PageDown: -45, PageUp: 45 }[event.key];
    if (by === undefined && event.key !== "Home") return;
    event.preventDefault();
    stop();
    turnTo(by === undefined ? 0 : state.yaw + by, { settle: true });
  });

  /** Call `move(event, start)` while `target` is dragged, and settle at a measured direction in the end. */
  function onDrag(target, begin, move) {
    target.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      stop();
      target.setPointerCapture(event.pointerId);
      const start = begin(event);
      const moved = (next) => move(next, start);
      const end = () => {
        target.removeEventListener("pointermove", moved);
        turnTo(state.yaw, { settle: true });
      };
      target.addEventListener("pointermove", moved);
      target.addEventListener("lostpointercapture", end, { once: true });
    });
  }

  onDrag(
    slider,
    (event) => ({ x: event.clientX, yaw: state.yaw }),
    (event, start) => turnTo(start.yaw - ((event.clientX - start.x) / slider.clientWidth) * 360)
  );
  for (const plot of charts.querySelectorAll(".plot")) {
    const follow = (event) => {
      const { chart } = cells.find((cell) => cell.plot === plot);
      turnTo(Math.min(Math.max(chart.yawAt(event.clientX), -180), 180 - step));
    };
    onDrag(plot, follow, follow);
  }

  const sizes = new ResizeObserver(() => {
    if (charts.clientWidth !== width) {
      drawCharts();
      draw();
    }
    document.body.dataset.ready = "";
  });
  choose({}).then(() => sizes.observe(charts));
})(window.clip360);
