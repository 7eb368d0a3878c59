/** A raw 16-bit crop on a canvas, through a window of contrast that can be changed at once: nothing is encoded. */

/** @typedef {{width: number, height: number, pixels: Uint16Array, range: Contrast, z: number | null}} Crop */
/** @typedef {{low: number, high: number}} Contrast */
/** @typedef {{x: number, y: number, width: number, height: number}} View a part of the crop, in its pixels */

/** Names of the windows in the order in which they follow each other. */
export const CONTRASTS = ["auto", "bright", "full"];

/**
 * Return the window of contrast of some crops, the same for all, so that a cell is as bright in one as in the next.
 * @param {Crop[]} crops whose ranges were taken over all frames of the scene
 * @param {string} name one of `CONTRASTS`
 * @returns {Contrast}
 */
export function contrastOf(crops, name) {
  if (!crops.length) return { low: 0, high: 1 };
  let low = Math.min(...crops.map((crop) => crop.range.low));
  let high = Math.max(...crops.map((crop) => crop.range.high));
  if (name === "bright") high = low + (high - low) * 0.4;
  if (name === "full") {
    for (const { pixels } of crops) {
      for (const value of pixels) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
  }
  return { low, high: Math.max(high, low + 1) };
}

/**
 * Draw a part of a crop so that it fills the canvas; beyond the crop it stays black.
 * @param {HTMLCanvasElement} canvas
 * @param {{width: number, height: number}} box its size on the screen: reading it here would lay the page out again
 * @param {Crop | null} crop null where the movie has no images
 * @param {Contrast} contrast
 * @param {View} view
 */
export function drawCrop(canvas, box, crop, contrast, view) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.max(1, Math.round(box.width * ratio));
  const height = Math.max(1, Math.round(box.height * ratio));
  const blank = !crop || !crop.pixels.length;
  const same = canvas.width === width && canvas.height === height;
  if (blank && same && canvas.dataset.blank) return;
  if (!same) [canvas.width, canvas.height] = [width, height];
  if (blank) canvas.dataset.blank = "true";
  else delete canvas.dataset.blank;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { alpha: false }));
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  if (blank) return;
  const kx = canvas.width / view.width;
  const ky = canvas.height / view.height;
  context.imageSmoothingEnabled = Math.min(kx, ky) < 2; // few pixels are shown as what they are
  context.drawImage(greyscale(crop, contrast), -view.x * kx, -view.y * ky, crop.width * kx, crop.height * ky);
}

/** Return the crop as a canvas of its own size. */
function greyscale({ width, height, pixels }, { low, high }) {
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  const scale = 255 / (high - low);
  for (let i = 0; i < words.length; i++) {
    const grey = Math.max(0, Math.min(255, (pixels[i] - low) * scale)) | 0;
    words[i] = 0xff000000 | (grey * 0x010101);
  }
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
  return canvas;
}

/**
 * Return the part of a crop that a pane shows: what fills it, and more of the crop where what matters would be cut off.
 * @param {{width: number, height: number}} crop
 * @param {{width: number, height: number}} pane
 * @param {{x: number, y: number}[]} matters points that have to be seen, the first of them in the middle when closer
 * @param {number} zoom 1 shows most
 * @returns {View}
 */
export function viewOf(crop, pane, matters, zoom) {
  const shape = pane.width / Math.max(1, pane.height);
  const margin = 0.07 * Math.min(crop.width, crop.height);
  const filling = shape < crop.width / crop.height
    ? { width: crop.height * shape, height: crop.height }
    : { width: crop.width, height: crop.width / shape };
  const whole = shape < crop.width / crop.height
    ? { width: crop.width, height: crop.width / shape }
    : { width: crop.height * shape, height: crop.height };
  const xs = matters.map((point) => point.x);
  const ys = matters.map((point) => point.y);
  const extent = (values) => (values.length ? Math.max(...values) - Math.min(...values) + 2 * margin : 0);
  const needed = Math.max(filling.width, extent(xs), extent(ys) * shape);
  const width = Math.min(needed, whole.width) / zoom;
  const height = width / shape;
  const middle = (values, otherwise) => (values.length ? (zoom > 1 ? values[0] : (Math.min(...values) + Math.max(...values)) / 2) : otherwise);
  return {
    x: placed(middle(xs, crop.width / 2) - width / 2, width, crop.width),
    y: placed(middle(ys, crop.height / 2) - height / 2, height, crop.height),
    width,
    height,
  };
}

/** Return where a window begins: inside the crop where it fits, around its middle where it does not. */
function placed(begin, size, whole) {
  return size >= whole ? (whole - size) / 2 : Math.max(0, Math.min(whole - size, begin));
}
