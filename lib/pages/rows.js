/* Which rows of a table are shown, and in which order. A table is { n, text: { image: [...] }, values: { score: [...] } }. */
"use strict";

(function (clip360) {
  /**
   * The rows, as indices in their first order, whose texts hold every word of `search` (capitals do not count) and whose
   * values lie in `ranges`, { column: [low, high] }, ends included and null for none. With `above`, { column: threshold },
   * at least one of these values exceeds its threshold.
   */
  clip360.filterRows = function (table, { search = "", ranges = {}, above = {} }) {
    const thresholds = Object.entries(above);
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const limits = Object.entries(ranges).filter(([, [low, high]]) => low !== null || high !== null);
    table.haystack ??= Array.from({ length: table.n }, (_, row) =>
      Object.values(table.text).map((texts) => texts[row]).join("\n").toLowerCase()
    );
    const rows = [];
    for (let row = 0; row < table.n; row++) {
      const inside = limits.every(([column, [low, high]]) => {
        const value = table.values[column][row];
        return value !== null && (low === null || value >= low) && (high === null || value <= high);
      });
      const exceeds = !thresholds.length || thresholds.some(([column, limit]) => table.values[column][row] > limit);
      if (inside && exceeds && words.every((word) => table.haystack[row].includes(word))) rows.push(row);
    }
    return rows;
  };

  /** Rows sorted by a column, stable in both directions; missing values come last. Texts sort by their code units. */
  clip360.sortRows = function (table, rows, { column, descending = false }) {
    const values = table.values[column] ?? table.text[column];
    if (!values) return rows;
    const sign = descending ? -1 : 1;
    return [...rows].sort((a, b) => {
      const x = values[a], y = values[b];
      if (x === y) return a - b;
      if (x === null || y === null) return x === null ? 1 : -1;
      return x < y ? -sign : sign;
    });
  };

  /** Rows as CSV: the texts, then the values as they are. */
  clip360.csv = function (table, rows) {
    const columns = Object.entries({ ...table.text, ...table.values });
    const cell = (value) => (/[",\n\r]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : (value ?? ""));
    const lines = rows.map((row) => columns.map(([, values]) => cell(values[row])).join(","));
    return `${[columns.map(([name]) => cell(name)).join(","), ...lines].join("\n")}\n`;
  };
})((window.clip360 = window.clip360 || {}));
