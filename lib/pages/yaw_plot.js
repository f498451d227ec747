/* Scores by the yaw of the camera as an SVG plot, with a marker that follows a viewer.
 *
 *   const plot = clip360.yawPlot(container, { scores: [[0, 21.4], [-90, 18.2]], onPick: (yaw) => viewer.turnTo(yaw) });
 *   plot.setYaw(-87);
 */
"use strict";

(function (clip360) {
  const WIDTH = 420, HEIGHT = 170, LEFT = 38, RIGHT = 12, TOP = 26, BOTTOM = 36;
  const TICKS = [-180, -90, 0, 90, 180];

  /** An SVG element with attributes, and text where the attribute `text` is given. */
  clip360.svg = function (name, { text, ...attributes } = {}) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  /** The angle between two yaws, degrees in [0, 180]. */
  const apart = (a, b) => Math.abs(clip360.wrapYaw(a - b));

  /** A yaw with its sign, such as "−90°". */
  clip360.yawText = (yaw) => `${yaw < 0 ? "−" : ""}${Math.abs(Math.round(yaw))}°`;

  /** Round ends and steps of an axis that holds `low` to `high` in about `count` steps. */
  clip360.axis = function (low, high, count = 4) {
    const span = high - low || Math.abs(high) || 1;
    const power = 10 ** Math.floor(Math.log10(span / count));
    const step = power * [1, 2, 5, 10].find((factor) => span / (factor * power) <= count);
    const first = Math.floor(low / step), last = Math.max(first + 1, Math.ceil(high / step));
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
    return { low: first * step, high: last * step, ticks, format: (value) => value.toFixed(digits).replace("-", "−") };
  };

  /**
   * Draw `scores`, a list of [yaw in degrees, score] in any order, into `container`.
   *
   * what     the name of the vertical axis (default "CLIP score")
   * onPick   called with the yaw of a measured direction that was clicked
   *
   * Returns { setYaw(yaw), nearest() }: the marker stands at the yaw of the camera, and the measured direction nearest to it,
   * [yaw, score], is named above the plot; nothing is interpolated.
   */
  clip360.yawPlot = function (container, { scores, what = "CLIP score", onPick }) {
    const given = scores.map(([yaw, score]) => [clip360.wrapYaw(Number(yaw)), score]);
    const worst = given.reduce((a, b) => (b[1] < a[1] ? b : a)), best = given.reduce((a, b) => (b[1] > a[1] ? b : a));
    const points = [...given].sort((a, b) => a[0] - b[0]);
    const y = clip360.axis(worst[1], best[1]);
    const toX = (yaw) => LEFT + ((yaw + 180) / 360) * (WIDTH - LEFT - RIGHT);
    const toY = (score) => HEIGHT - BOTTOM - ((score - y.low) / (y.high - y.low)) * (HEIGHT - TOP - BOTTOM);
    const svg = clip360.svg;
    const label =
      `${what} by the yaw of the camera: lowest ${worst[1].toFixed(2)} at ${clip360.yawText(worst[0])}, ` +
      `highest ${best[1].toFixed(2)} at ${clip360.yawText(best[0])}`;
    const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "yaw-plot", role: "img", "aria-label": label });

    for (const tick of y.ticks) {
      plot.append(
        svg("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: toY(tick), y2: toY(tick) }),
        svg("text", { x: LEFT - 10, y: toY(tick) + 4, "text-anchor": "end", text: y.format(tick) })
      );
    }
    for (const tick of TICKS) {
      const text = clip360.yawText(tick);
      plot.append(svg("text", { x: toX(tick), y: HEIGHT - BOTTOM + 16, "text-anchor": "middle", text }));
    }
    plot.append(
      svg("text", { x: toX(0), y: HEIGHT - 4, "text-anchor": "middle", text: "yaw of the camera, to the right" })
    );

    const first = points[0], last = points[points.length - 1]; // the turn is closed: the line goes on beyond both edges
    const closed = [[last[0] - 360, last[1]], ...points, [first[0] + 360, first[1]]];
    const area = svg("svg", { x: LEFT, y: 0, width: WIDTH - LEFT - RIGHT, height: HEIGHT, viewBox: `${LEFT} 0 ${WIDTH - LEFT - RIGHT} ${HEIGHT}` });
    area.append(svg("polyline", { class: "line", points: closed.map(([yaw, s]) => `${toX(yaw)},${toY(s)}`).join(" ") }));
    const marker = svg("line", { class: "marker", y1: TOP - 4, y2: HEIGHT - BOTTOM });
    plot.append(area, marker);
    const circles = points.map((point) => {
      const circle = svg("circle", { class: point === worst ? "point worst" : "point", cx: toX(point[0]), cy: toY(point[1]), r: 5 });
      circle.append(svg("title", { text: `${clip360.yawText(point[0])}: ${point[1].toFixed(2)}` }));
      if (onPick) circle.addEventListener("click", () => onPick(point[0]));
      plot.append(circle);
      return circle;
    });
    const caption = svg("text", { class: "caption", x: LEFT, y: 14 });
    plot.append(caption);
    container.replaceChildren(plot);

    let near = points[0];
    return {
      nearest: () => near,
      setYaw(yaw) {
        const at = clip360.wrapYaw(yaw);
        near = points.reduce((a, b) => (apart(b[0], at) < apart(a[0], at) ? b : a));
        marker.setAttribute("x1", toX(at));
        marker.setAttribute("x2", toX(at));
        circles.forEach((circle, k) => circle.classList.toggle("near", points[k] === near));
        caption.textContent = `Camera at ${clip360.yawText(at)}; measured at ${clip360.yawText(near[0])}: ${near[1].toFixed(2)}`;
      },
    };
  };
})((window.clip360 = window.clip360 || {}));
