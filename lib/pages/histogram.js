/* The distribution of a column as an SVG histogram, on which a range can be drawn. */
"use strict";

(function (clip360) {
  const BINS = 28, WIDTH = 260, HEIGHT = 76, TOP = 16, BOTTOM = 16;

  /**
   * Draw the values of a column into `container`.
   *
   * values     numbers; null is left out
   * mean       { mean, low, high }, or nothing
   * threshold  a line, or null
   * label      for screen readers
   * onRange    called with [low, high] once a range was drawn with the pointer, with [null, null] after a click
   *
   * Returns { show(rows, range) }: the bars of these rows are filled, and the range is shaded.
   */
  clip360.histogram = function (container, { values, mean, threshold, label, onRange }) {
    const finite = values.filter((value) => value !== null);
    const low = finite.reduce((a, b) => Math.min(a, b), Infinity), high = finite.reduce((a, b) => Math.max(a, b), -Infinity);
    const span = high - low || 1;
    const toX = (value) => ((value - low) / span) * WIDTH;
    const toValue = (x) => low + (Math.min(Math.max(x, 0), WIDTH) / WIDTH) * span;
    const binOf = (value) => Math.min(BINS - 1, Math.floor(((value - low) / span) * BINS));
    const count = (numbers) => numbers.reduce((bins, value) => (bins[binOf(value)]++, bins), new Array(BINS).fill(0));
    const all = count(finite), most = Math.max(...all, 1);
    const svg = clip360.svg;
    const plot = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "histogram", role: "img", "aria-label": label });
    const bars = (bins, name) =>
      bins.map((n, k) => {
        const height = (n / most) * (HEIGHT - TOP - BOTTOM);
        return svg("rect", { class: name, x: (k * WIDTH) / BINS + 0.5, width: WIDTH / BINS - 1, y: HEIGHT - BOTTOM - height, height });
      });
    const shade = svg("rect", { class: "range", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0 });
    const filled = svg("g");
    plot.append(shade, ...bars(all, "bar"), filled);
    if (threshold !== null && threshold > low && threshold < high) {
      plot.append(svg("line", { class: "threshold", x1: toX(threshold), x2: toX(threshold), y1: TOP, y2: HEIGHT - BOTTOM }));
    }
    if (mean) {
      plot.append(
        svg("line", { class: "mean", x1: toX(mean.low), x2: toX(mean.high), y1: 7, y2: 7 }),
        svg("circle", { class: "mean", cx: toX(mean.mean), cy: 7, r: 3.5 })
      );
    }
    const digits = span < 1 ? 2 : 1;
    plot.append(
      svg("text", { x: 0, y: HEIGHT - 3, text: clip360.number(low, digits) }),
      svg("text", { x: WIDTH, y: HEIGHT - 3, "text-anchor": "end", text: clip360.number(high, digits) })
    );
    container.replaceChildren(plot);

    let start = null; // of a range that is being drawn, in units of the plot
    const at = (event) => ((event.clientX - plot.getBoundingClientRect().left) / plot.getBoundingClientRect().width) * WIDTH;
    const mark = (from, to) => {
      shade.setAttribute("x", Math.min(from, to));
      shade.setAttribute("width", Math.abs(to - from));
    };
    plot.addEventListener("pointerdown", (event) => {
      start = at(event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => start !== null && mark(start, at(event)));
    plot.addEventListener("pointercancel", () => (start = null));
    plot.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const [from, to] = [start, at(event)].sort((a, b) => a - b);
      start = null;
      const round = (value) => Number(value.toPrecision(4));
      onRange(to - from < 4 ? [null, null] : [from <= 0 ? null : round(toValue(from)), to >= WIDTH ? null : round(toValue(to))]);
    });

    return {
      show(rows, [from, to]) {
        filled.replaceChildren(...bars(count(rows.map((row) => values[row]).filter((value) => value !== null)), "bar filled"));
        const isOpen = from === null && to === null;
        const inside = (value, otherwise) => Math.min(Math.max(value === null ? otherwise : toX(value), 0), WIDTH);
        mark(isOpen ? 0 : inside(from, 0), isOpen ? 0 : inside(to, WIDTH));
      },
    };
  };
})((window.clip360 = window.clip360 || {}));
