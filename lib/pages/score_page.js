/* The page of `clip360 score`: filters and distributions, the table, and a dialog for each panorama. */
"use strict";

(function (clip360) {
  const ROW_HEIGHT = 80; // pixels, as in table.css
  const DELAY = 120; // milliseconds after the last letter of a search
  const { element, foreign, number } = clip360;
  const data = clip360.pageData();
  const { columns, table } = data; // columns: [{ name, label, definition, threshold, fault, unit, lower }]
  const byName = Object.fromEntries(columns.map((column) => [column.name, column]));
  const state = { search: "", ranges: {}, above: {}, sort: { column: null, descending: false }, rows: [] };
  for (const { name } of columns) state.ranges[name] = [null, null];

  const text = (column, value) => (column.unit === "°" ? clip360.yawText(value) : number(value));
  const isFault = (column, value) => column.threshold !== null && value > column.threshold;
  const panel = clip360.detail(document.getElementById("detail"));
  const cards = clip360.filterCards(document.getElementById("filters"), columns, table, setRange);
  const view = clip360.table(document.getElementById("table"), {
    columns: [
      { key: "image", label: "Panorama", title: "Sort by file name", cell: panoramaCell },
      ...columns.map((column) => ({
        key: column.name, label: column.label, title: column.definition, numeric: true,
        cell: (row) => valueCell(column, table.values[column.name][row]),
      })),
    ],
    caption: "Scored panoramas", rowHeight: ROW_HEIGHT, onSort: sortBy,
  });

  function panoramaCell(row) {
    const open = { click: () => openAt(state.rows.indexOf(row)) };
    return element(
      "div", { class: "panorama" },
      element("button", { type: "button", class: "thumbnail", tabindex: -1, "aria-hidden": "true", on: open },
        clip360.thumbnail(data.thumbnails, table.pictures[row])),
      element("div", {}, element("button", { type: "button", class: "name", on: open }, foreign(table.text.image[row])),
        element("p", { title: table.text.caption[row] }, foreign(table.text.caption[row])))
    );
  }

  function valueCell(column, value) {
    if (!isFault(column, value)) return text(column, value);
    return element("span", { class: "fault", title: `Above ${column.threshold}: ${column.fault}` }, `▲ ${text(column, value)}`);
  }

  function sortBy(name) {
    const { column, descending } = state.sort;
    if (name === column) state.sort = { column, descending: !descending };
    else state.sort = { column: name, descending: Boolean(byName[name]?.lower) }; // the worst first
    refresh();
  }

  function setRange(name, range) {
    state.ranges[name] = range;
    refresh();
  }

  function refresh() {
    state.rows = clip360.sortRows(table, clip360.filterRows(table, state), state.sort);
    view.show(state.rows, state.sort);
    cards.show(state.rows, state.ranges);
    document.getElementById("count").textContent = `${state.rows.length.toLocaleString("en")} of ${table.n.toLocaleString("en")} panoramas`;
    document.getElementById("none").hidden = state.rows.length > 0;
    for (const button of document.querySelectorAll("[data-fault]")) {
      button.setAttribute("aria-pressed", String(button.dataset.fault in state.above));
    }
    for (const button of document.querySelectorAll("[data-sort]")) {
      const { column, descending } = state.sort;
      const isSorted = button.dataset.sort === column && descending === (button.dataset.order === "descending");
      button.setAttribute("aria-pressed", String(isSorted));
    }
  }

  function openAt(position) {
    const row = state.rows[position];
    if (row === undefined) return;
    const to = (other) => (state.rows[other] === undefined ? undefined : () => openAt(other));
    view.scrollTo(Math.max(0, position - 1));
    const plots = data.yaw.map(({ title, yaws, scores }) => ({ title, scores: yaws.map((yaw, k) => [yaw, scores[k][row]]) }));
    panel.open({
      title: table.text.image[row], caption: table.text.caption[row], note: `${position + 1} of ${state.rows.length}`,
      sides: [{ image: table.text.image[row], folder: data.panoramas, picture: table.pictures[row], yaw: table.values.worst_yaw[row], plots }],
      faults: faultTable(row), tables: [protocolTable(row), ...data.latitude.map((group) => latitudeTable(group, row))],
      previous: to(position - 1), next: to(position + 1),
    });
  }

  function protocolTable(row) {
    const shown = columns.filter((column) => column.threshold === null && column.name !== "worst_yaw");
    const rank = ({ name, lower }) => {
      const value = table.values[name][row];
      return 1 + table.values[name].filter((other) => (lower ? other < value : other > value)).length;
    };
    const rows = shown.map((column) => [
      element("span", { title: column.definition }, column.label), number(table.values[column.name][row]), `${rank(column)} of ${table.n}`,
    ]);
    return clip360.smallTable("Scores and their rank in this set", ["", "score", "rank"], rows);
  }

  function faultTable(row) {
    const shown = columns.filter((column) => column.threshold !== null);
    if (!shown.length) return null;
    const rows = shown.map((column) => {
      const value = table.values[column.name][row], above = isFault(column, value);
      const words = above ? `above ${column.threshold}: ${column.fault}` : `at most ${column.threshold}: no fault`;
      return [column.label, element("span", { class: above ? "fault" : null }, number(value)), words];
    });
    return clip360.smallTable("Seam and poles", ["", "value", "in words"], rows, { words: [2] });
  }

  function latitudeTable({ title, groups, scores }, row) {
    return clip360.smallTable(title, ["views", "score"], groups.map((group, k) => [group, number(scores[k][row])]));
  }

  const search = document.getElementById("search");
  let delay = 0;
  search.addEventListener("input", () => {
    clearTimeout(delay);
    delay = setTimeout(() => {
      state.search = search.value;
      refresh();
    }, DELAY);
  });
  for (const button of document.querySelectorAll("[data-fault]")) {
    button.addEventListener("click", () => {
      const name = button.dataset.fault;
      if (name in state.above) delete state.above[name];
      else state.above[name] = byName[name].threshold;
      refresh();
    });
  }
  for (const button of document.querySelectorAll("[data-sort]")) {
    button.addEventListener("click", () => {
      state.sort = { column: button.dataset.sort, descending: button.dataset.order === "descending" };
      refresh();
    });
  }
  document.getElementById("clear").addEventListener("click", () => {
    Object.assign(state, { search: "", above: {}, sort: { column: null, descending: false } });
    for (const name in state.ranges) state.ranges[name] = [null, null];
    search.value = "";
    refresh();
  });
  document.getElementById("save").addEventListener("click", () =>
    clip360.saveText("panoramas.csv", clip360.csv(table, state.rows), "text/csv")
  );
  const filters = document.getElementById("filters-panel");
  filters.open = matchMedia("(min-width: 1100px)").matches;
  addEventListener("beforeprint", () => (filters.open = true));
  clip360.themeSwitch(document.getElementById("theme"));
  refresh();
})((window.clip360 = window.clip360 || {}));
