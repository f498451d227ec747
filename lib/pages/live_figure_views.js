/* What is seen of a panorama that is shifted: all of it, its centre crop, squashed, and perspective views around it. */
"use strict";

(function (clip360) {
  const SQUARE = 256, SMALL = 128; // pixels of the canvases

  /** The shift in pixels of a panorama `width` pixels wide that the camera at `yaw` (degrees) sees. */
  clip360.shiftAt = (yaw, width) => Math.round((-yaw / 360) * width);

  /** A context of `canvas`, made `width` x `height` pixels. */
  function context(canvas, width, height) {
    Object.assign(canvas, { width, height });
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    drawing.imageSmoothingQuality = "high";
    return drawing;
  }

  /**
   * Views of a panorama on canvases, by name: `panorama`, `crop`, `whole`; `around` is a list of canvases.
   *
   * fov   of the perspective views, degrees
   * Returns { show(image), turn(yaw) }: draws another picture, and what the camera at `yaw` sees.
   */
  clip360.panoramaViews = function ({ panorama, crop, whole, around }, { fov }) {
    let image, drawings, pixels;
    const squares = { crop: context(crop, SQUARE, SQUARE), whole: context(whole, SQUARE, SQUARE) };
    const pinholes = around.map((canvas) => context(canvas, SMALL, SMALL));

    function turn(yaw) {
      const { naturalWidth: width, naturalHeight: height } = image;
      const shift = ((clip360.shiftAt(yaw, width) % width) + width) % width;
      drawings.drawImage(image, shift, 0);
      if (shift) drawings.drawImage(image, shift - width, 0);
      squares.crop.drawImage(panorama, (width - height) / 2, 0, height, height, 0, 0, SQUARE, SQUARE);
      squares.whole.drawImage(panorama, 0, 0, width, height, 0, 0, SQUARE, SQUARE);
      pinholes.forEach((drawing, k) => {
        const columns = (k / pinholes.length) * width - shift;
        drawing.putImageData(clip360.perspective(pixels, { fov, size: SMALL, columns }), 0, 0);
      });
    }

    return {
      turn,
      show(next) {
        image = next;
        drawings = context(panorama, image.naturalWidth, image.naturalHeight);
        drawings.drawImage(image, 0, 0);
        pixels = drawings.getImageData(0, 0, panorama.width, panorama.height);
      },
    };
  };

  const sampled = new Map(); // where a pinhole camera at yaw 0 samples a panorama

  /** Columns and rows of a panorama, counted from the middle of its first pixel, for each pixel of a square pinhole view. */
  function samplingPoints(width, height, fov, size) {
    const key = [width, height, fov, size].join();
    if (!sampled.has(key)) {
      const half = Math.tan((fov * Math.PI) / 360);
      const points = new Float64Array(2 * size * size);
      for (let i = 0, at = 0; i < size; i++) {
        for (let j = 0; j < size; j++) {
          const x = (((j + 0.5) / size) * 2 - 1) * half, z = -(((i + 0.5) / size) * 2 - 1) * half;
          points[at++] = ((Math.atan(x) / Math.PI + 1) * width) / 2 - 0.5;
          points[at++] = (0.5 - Math.atan2(z, Math.hypot(x, 1)) / Math.PI) * height - 0.5;
        }
      }
      sampled.set(key, points);
    }
    return sampled.get(key);
  }

  /**
   * The gnomonic view on the horizon of an equirectangular picture (ImageData), bilinear: an ImageData of `size` x `size` pixels.
   * The camera looks `columns` pixels to the right of the picture's middle. The same as lib/geometry/panorama.py, `perspective`.
   */
  clip360.perspective = function (pixels, { fov, size, columns = 0 }) {
    const { width, height, data } = pixels;
    const points = samplingPoints(width, height, fov, size);
    const view = new ImageData(size, size);
    for (let k = 0; k < size * size; k++) {
      const x = points[2 * k] + columns, y = Math.min(Math.max(points[2 * k + 1], 0), height - 1);
      const left = Math.floor(x), top = Math.floor(y), right = left + 1, bottom = Math.min(top + 1, height - 1);
      const a = x - left, b = y - top;
      const l = ((left % width) + width) % width, r = ((right % width) + width) % width;
      for (let channel = 0; channel < 3; channel++) {
        const above = (1 - a) * data[4 * (top * width + l) + channel] + a * data[4 * (top * width + r) + channel];
        const below = (1 - a) * data[4 * (bottom * width + l) + channel] + a * data[4 * (bottom * width + r) + channel];
        view.data[4 * k + channel] = Math.round((1 - b) * above + b * below);
      }
      view.data[4 * k + 3] = 255;
    }
    return view;
  };
})((window.clip360 = window.clip360 || {}));
