/* Scores over a whole turn as SVG: one chart for each model and view, the bound around the unshifted score, a marker. */
"use strict";

(function (clip360) {
  const MARGIN = { left: 34, right: 10, top: 8, bottom: 20 };
  const NARROW = 260; // pixels: narrower charts have fewer labels
  const { svg } = clip360;
  let ids = 0;

  /**
   * A chart of `scores` at `yaws` (degrees, increasing from -180) that fills `container`.
   *
   * beta    bound around the score at yaw 0
   * range   [low, high] of the vertical axis
   * label   what the chart shows, for screen readers
   *
   * Returns { mark(k), yawAt(x) }: moves the marker to the k-th yaw, and the yaw at a horizontal position of the window.
   */
  clip360.turnChart = function (container, { yaws, scores, beta, range, label }) {
    const width = container.clientWidth, height = container.clientHeight;
    const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
    const axis = clip360.axis(...range, 3);
    const toX = (yaw) => MARGIN.left + ((yaw + 180) / 360) * (right - MARGIN.left);
    const toY = (score) => bottom - ((score - axis.low) / (axis.high - axis.low)) * (bottom - MARGIN.top);
    const clamped = (score) => Math.min(Math.max(toY(score), MARGIN.top), bottom);
    const unshifted = scores[yaws.indexOf(0)];
    const chart = svg("svg", { width, height, role: "img", "aria-label": label });

    for (const tick of axis.ticks) {
      const y = toY(tick);
      chart.append(
        svg("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y, y2: y }),
        svg("text", { class: "tick", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end", text: axis.format(tick) })
      );
    }
    for (const tick of width < NARROW ? [-180, 0, 180] : [-180, -90, 0, 90, 180]) {
      const anchor = { "-180": "start", 180: "end" }[tick] || "middle";
      chart.append(
        svg("text", { class: "tick", x: toX(tick), y: height - 4, "text-anchor": anchor, text: clip360.yawText(tick) })
      );
    }

    const inner = { x: MARGIN.left, width: right - MARGIN.left };
    const high = clamped(unshifted + beta), low = clamped(unshifted - beta);
    chart.append(svg("rect", { class: "band", ...inner, y: high, height: low - high }));
    const points = [...yaws.map((yaw, k) => [toX(yaw), toY(scores[k])]), [right, toY(scores[0])]];
    const outside = svg("clipPath", { id: `outside-${++ids}` });
    outside.append(
      svg("rect", { ...inner, y: 0, height: high }),
      svg("rect", { ...inner, y: low, height: Math.max(bottom - low, 0) })
    );
    const zero = toY(unshifted);
    const line = points.map((point) => point.join()).join(" ");
    chart.append(
      outside,
      svg("polygon", { class: "excess", "clip-path": `url(#${outside.id})`, points: `${points[0][0]},${zero} ${line} ${right},${zero}` }),
      svg("line", { class: "unshifted", x1: MARGIN.left, x2: right, y1: zero, y2: zero }),
      svg("polyline", { class: "line", points: line })
    );
    const marker = svg("line", { class: "marker", y1: MARGIN.top, y2: bottom });
    const dot = svg("circle", { class: "dot", r: 5 });
    chart.append(marker, dot);
    container.replaceChildren(chart);

    return {
      mark(k) {
        const [x, y] = points[k];
        for (const end of ["x1", "x2"]) marker.setAttribute(end, x);
        dot.setAttribute("cx", x);
        dot.setAttribute("cy", y);
      },
      yawAt: (x) => ((x - container.getBoundingClientRect().left - MARGIN.left) / inner.width) * 360 - 180,
    };
  };

  /** The range of several curves, { scores, beta }, and their bounds: within 0 to 100, where scores lie there. */
  clip360.commonRange = function (curves, zero) {
    const all = curves.flatMap(({ scores }) => scores);
    const ends = [...all, ...curves.flatMap(({ scores, beta }) => [scores[zero] - beta, scores[zero] + beta])];
    return [Math.max(Math.min(...ends), Math.min(...all, 0)), Math.min(Math.max(...ends), Math.max(...all, 100))];
  };
})((window.clip360 = window.clip360 || {}));
