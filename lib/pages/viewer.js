/* A panorama to look around in: pannellum (MIT, in pannellum/), with what a page needs to follow and to turn its camera.
 *
 *   const viewer = await clip360.openViewer(container, { image, label, yaw: -90, onYaw: (yaw) => plot.setYaw(yaw) });
 *   viewer.turnTo(180);
 *   viewer.close();
 *
 * Needs pannellum.js and pannellum.css. Nothing is fetched: the picture is given, so that it works from file://.
 */
"use strict";

(function (clip360) {
  const MIN_HFOV = 30, MAX_HFOV = 120, HFOV = 100; // degrees
  const ZOOM = 1.25;
  const TURN = 600; // milliseconds
  const KEYS = [37, 38, 39, 40, 61, 107, 109, 173, 187, 189]; // arrows, plus, minus; Escape stays with the page
  const STEP = 15; // degrees, of an arrow key where there is no WebGL

  /** Degrees in [-180, 180). */
  clip360.wrapYaw = (yaw) => ((((yaw + 180) % 360) + 360) % 360) - 180;

  /** A data: URL of a picture as a Blob. */
  clip360.blobOf = function (dataUrl) {
    const comma = dataUrl.indexOf(","), type = dataUrl.slice(5, comma).split(";")[0];
    const bytes = Uint8Array.from(atob(dataUrl.slice(comma + 1)), (letter) => letter.charCodeAt(0));
    return new Blob([bytes], { type });
  };

  /**
   * Open an equirectangular picture in `container`, an element whose CSS says how large it is.
   *
   * image   a base64 data: URL, or a Blob, of a JPEG, PNG or WebP, twice as wide as high
   * label   what the picture shows, for screen readers: plain text
   * yaw     where the camera looks at first: degrees to the right of the middle of the picture (default 0)
   * pitch   degrees above the horizon (default 0)
   * hfov    horizontal field of view, degrees (default 100)
   * onYaw   called with the yaw in [-180, 180): once the picture shows, and whenever the camera has turned
   *
   * Returns a promise of { yaw(), pitch(), turnTo(yaw, pitch = 0), close() }, which is rejected with an Error where the
   * picture cannot be shown. Without WebGL the picture lies flat and is shifted instead of turned. Dragging, the arrow
   * keys, +, -, and three buttons (zoom in, zoom out, full screen) work.
   */
  clip360.openViewer = async function (container, options) {
    const { image, label = "Panorama", yaw = 0, pitch = 0, hfov = HFOV, onYaw = () => {} } = options;
    const url = URL.createObjectURL(image instanceof Blob ? image : clip360.blobOf(image));
    const stage = document.createElement("div");
    stage.className = "viewer-stage";
    container.replaceChildren(stage);
    container.classList.add("viewer");
    const open = hasWebGL() ? sphere : flat;
    let camera;
    try {
      camera = await open(stage, { url, label, yaw, pitch, hfov });
    } catch (error) {
      URL.revokeObjectURL(url);
      throw error;
    }
    if (camera.zoom) container.append(buttons(camera, container));
    const stop = follow(camera, stage, onYaw);
    return {
      yaw: camera.yaw,
      pitch: camera.pitch,
      turnTo: camera.turnTo,
      close() {
        stop();
        camera.close();
        URL.revokeObjectURL(url);
        container.replaceChildren();
        container.classList.remove("viewer");
      },
    };
  };

  function hasWebGL() {
    return Boolean(window.pannellum && document.createElement("canvas").getContext("webgl"));
  }

  /** The picture on a sphere. */
  function sphere(stage, { url, label, yaw, pitch, hfov }) {
    return new Promise((resolve, reject) => {
      const view = pannellum.viewer(stage, {
        type: "equirectangular", panorama: url, ignoreGPanoXMP: true, autoLoad: true, showControls: false,
        yaw, pitch, hfov, minHfov: MIN_HFOV, maxHfov: MAX_HFOV, mouseZoom: "fullscreenonly", capturedKeyNumbers: KEYS,
      });
      stage.setAttribute("role", "application"); // arrow keys turn the camera
      stage.setAttribute("aria-roledescription", "panorama");
      stage.setAttribute("aria-label", `${label}. Arrow keys turn the camera, plus and minus zoom.`);
      const duration = matchMedia("(prefers-reduced-motion: reduce)").matches ? false : TURN;
      view.on("error", (message) => reject(new Error(message)));
      view.on("load", () =>
        resolve({
          yaw: () => clip360.wrapYaw(view.getYaw()),
          pitch: () => view.getPitch(),
          turnTo: (to, up = 0) => view.lookAt(up, clip360.wrapYaw(to), undefined, duration),
          zoom: (factor) => view.setHfov(view.getHfov() / factor, duration),
          resize: () => view.resize(),
          close: () => view.destroy(),
        })
      );
    });
  }

  /** The picture as it lies in its file, shifted so that the camera's yaw is in the middle. */
  function flat(stage, { url, label, yaw }) {
    let current = clip360.wrapYaw(yaw);
    stage.classList.add("viewer-flat");
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-roledescription", "panorama");
    stage.setAttribute("aria-label", `${label}. This browser shows it flat. The left and right arrow keys shift it.`);
    stage.style.backgroundImage = `url("${url}")`;
    const turnTo = (to) => {
      current = clip360.wrapYaw(to);
      const width = 2 * stage.clientHeight; // of the whole picture
      stage.style.backgroundPositionX = `${stage.clientWidth / 2 - width * (0.5 + current / 360)}px`;
    };
    stage.addEventListener("keydown", (event) => {
      const sign = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (sign) turnTo(current + sign * STEP);
      if (sign) event.preventDefault();
    });
    stage.addEventListener("pointerdown", (event) => stage.setPointerCapture(event.pointerId));
    stage.addEventListener("pointermove", (event) => {
      if (event.buttons) turnTo(current - (event.movementX / (2 * stage.clientHeight)) * 360);
    });
    turnTo(current);
    return { yaw: () => current, pitch: () => 0, turnTo, resize: () => turnTo(current), close: () => {} };
  }

  function buttons(camera, container) {
    const bar = document.createElement("div");
    bar.className = "viewer-buttons";
    const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : container.requestFullscreen());
    const actions = [["Zoom in", "+", () => camera.zoom(ZOOM)], ["Zoom out", "−", () => camera.zoom(1 / ZOOM)]];
    if (document.fullscreenEnabled) actions.push(["Full screen", "⤢", fullScreen]);
    for (const [name, sign, act] of actions) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: sign, title: name });
      button.setAttribute("aria-label", name);
      button.addEventListener("click", act);
      bar.append(button);
    }
    return bar;
  }

  /** Call `onYaw` at once and after every turn, and fit the picture to its element; returns what ends this. */
  function follow(camera, stage, onYaw) {
    let request, last;
    const look = () => {
      const yaw = camera.yaw();
      if (yaw !== last) onYaw(yaw);
      last = yaw;
      request = requestAnimationFrame(look);
    };
    look();
    const sizes = new ResizeObserver(camera.resize);
    sizes.observe(stage);
    return () => {
      cancelAnimationFrame(request);
      sizes.disconnect();
    };
  }
})((window.clip360 = window.clip360 || {}));
