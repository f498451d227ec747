/* Elements without HTML in strings, numbers as text, the theme, and pictures that a page loads when they are needed. */
"use strict";

(function (clip360) {
  /**
   * An element. `attributes` are set as attributes, but `on: { event: listener }` and properties that start with a dot.
   * Children are nodes or text; null and false are left out. No text can become HTML.
   */
  clip360.element = function (tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "on") Object.entries(value).forEach(([event, listener]) => element.addEventListener(event, listener));
      else if (key.startsWith(".")) element[key.slice(1)] = value;
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
    }
    element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  /** Text of others: whatever its letters are, they do not change the direction of what stands beside it. */
  clip360.foreign = (text, attributes = {}) => clip360.element("bdi", { dir: "auto", ...attributes }, text);

  /** A number with a true minus sign, "–" where there is none. */
  clip360.number = function (value, digits = 2) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return value.toFixed(digits).replace("-", "−");
  };

  /** A mean with its interval: "61.23 [60.90, 61.55]". */
  clip360.interval = ({ mean, low, high }, digits = 2) =>
    `${clip360.number(mean, digits)} [${clip360.number(low, digits)}, ${clip360.number(high, digits)}]`;

  /** The data that a page holds. */
  clip360.pageData = () => JSON.parse(document.getElementById("data").textContent);

  /** A button that switches between light and dark; until it is used, the page follows the system. */
  clip360.themeSwitch = function (button) {
    const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
    const name = () => (button.textContent = isDark() ? "Light" : "Dark");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      name();
    });
    system.addEventListener("change", name);
    name();
  };

  /** Save text as a file. */
  clip360.saveText = function (name, text, type) {
    const url = URL.createObjectURL(new Blob([text], { type }));
    clip360.element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const waiting = new Map(); // id of a picture -> what takes it

  /** What the script of a picture calls, see pictures.py. */
  clip360.receivePicture = (id, urls) => waiting.get(id)?.(urls);

  /** A promise of the pictures { panorama, seam } of an id, data: URLs that the script `folder`/`id`.js hands over. */
  clip360.loadPicture = function (folder, id) {
    const script = clip360.element("script", { src: `${folder}/${id}.js` });
    return new Promise((resolve, reject) => {
      waiting.set(id, resolve);
      script.addEventListener("error", () =>
        reject(new Error(`${folder}/${id}.js is missing: keep the folder beside this page, or score the panoramas again.`))
      );
      document.head.append(script);
    }).finally(() => {
      waiting.delete(id);
      script.remove();
    });
  };

  /** An <img> of a thumbnail, whose folder or data: URLs the page knows; empty where there is none. */
  clip360.thumbnail = function (thumbnails, id) {
    const src = typeof thumbnails === "string" ? `${thumbnails}/${id}.jpg` : thumbnails[id];
    if (!id || !src) return clip360.element("span", { class: "no-picture" });
    return clip360.element("img", { src, alt: "", loading: "lazy", decoding: "async", width: 128, height: 64 });
  };
})((window.clip360 = window.clip360 || {}));
