/* A table of any number of rows, of which only those in sight are in the document. */
"use strict";

(function (clip360) {
  const MARGIN = 8; // rows above and below those in sight
  const PRINTED = 300; // rows of a printed table
  const { element } = clip360;

  /**
   * Draw a table into `container`, which scrolls and whose CSS says how high it is.
   *
   * columns   [{ key, label, title, numeric, cell(row) }]: the head and, for a row, its content as text or nodes
   * caption   what the table holds, for screen readers
   * rowHeight pixels, the same for all rows
   * onSort    called with the key of a head that was clicked
   *
   * Returns { show(rows, sort), scrollTo(position) }: `rows` are indices in their order, `sort` is { column, descending }.
   */
  clip360.table = function (container, { columns, caption, rowHeight, onSort }) {
    let rows = [], drawn = new Map(); // position -> <tr>
    const heads = new Map(columns.map((column) => [column.key, head(column, onSort)]));
    const before = element("tr", { "aria-hidden": "true" }, element("td", { colspan: columns.length }));
    const after = element("tr", { "aria-hidden": "true" }, element("td", { colspan: columns.length }));
    const body = element("tbody", {}, before, after);
    const table = element(
      "table", { "aria-rowcount": 1 }, element("caption", { class: "hidden" }, caption),
      element("thead", {}, element("tr", { "aria-rowindex": 1 }, [...heads.values()])), body
    );
    container.replaceChildren(table);
    container.tabIndex = 0; // arrow keys scroll it
    container.setAttribute("role", "region");
    container.setAttribute("aria-label", caption);

    function draw(first, last) {
      for (const [position, row] of drawn) {
        if (position < first || position >= last) {
          row.remove();
          drawn.delete(position);
        }
      }
      let next = after;
      for (let position = last - 1; position >= first; position--) {
        if (!drawn.has(position)) {
          drawn.set(position, line(columns, rows[position], position));
          body.insertBefore(drawn.get(position), next);
        }
        next = drawn.get(position);
      }
      before.firstChild.style.height = `${first * rowHeight}px`;
      after.firstChild.style.height = `${(rows.length - last) * rowHeight}px`;
      before.hidden = !first;
      after.hidden = last === rows.length;
    }

    function drawInSight() {
      const first = Math.max(0, Math.floor(container.scrollTop / rowHeight) - MARGIN);
      const count = Math.ceil(container.clientHeight / rowHeight) + 2 * MARGIN;
      const start = Math.min(first, Math.max(0, rows.length - count));
      draw(start, Math.min(rows.length, start + count));
    }

    let request = 0;
    container.addEventListener("scroll", () => {
      cancelAnimationFrame(request);
      request = requestAnimationFrame(drawInSight);
    });
    new ResizeObserver(drawInSight).observe(container);
    addEventListener("beforeprint", () => {
      draw(0, Math.min(rows.length, PRINTED));
      body.querySelectorAll("img").forEach((picture) => (picture.loading = "eager"));
    });
    addEventListener("afterprint", drawInSight);

    return {
      show(shown, sort) {
        rows = shown;
        drawn.forEach((row) => row.remove());
        drawn = new Map();
        table.setAttribute("aria-rowcount", rows.length + 1);
        for (const [key, cell] of heads) {
          const direction = sort.descending ? "descending" : "ascending";
          if (key === sort.column) cell.setAttribute("aria-sort", direction);
          else cell.removeAttribute("aria-sort");
        }
        container.scrollTop = 0;
        drawInSight();
      },
      scrollTo(position) {
        container.scrollTop = position * rowHeight;
        drawInSight();
      },
    };
  };

  function head({ key, label, title, numeric }, onSort) {
    const button = element("button", { type: "button", title, on: { click: () => onSort(key) } }, label);
    return element("th", { scope: "col", class: numeric ? "numeric" : null, "data-column": key }, button);
  }

  function line(columns, row, position) {
    const cells = columns.map(({ numeric, cell }) =>
      element("td", { class: numeric ? "numeric" : null }, cell(row))
    );
    return element("tr", { "aria-rowindex": position + 2, "data-row": row }, cells);
  }
})((window.clip360 = window.clip360 || {}));
