/** The two frames side by side with what lies over them, and the film strip: one place in the movie, one contrast. */

import { byId } from "./dom.js";
import { drawLinks } from "./links.js";
import { contrastOf, drawCrop, viewOf } from "./picture.js";
import { drawStrip, sizeOf, stripOf } from "./strip.js";

const SEEN = 0.02;

/**
 * How a person looks at a question.
 * @typedef {{offset: number, swapped: boolean, outlines: boolean, contrast: string, zoom: number, depth: string, channel: string | null}} Look
 */

/** @returns {Look} */
export const firstLook = () => ({ offset: 0, swapped: false, outlines: true, contrast: "auto", zoom: 1, depth: "max", channel: null });

/**
 * Draw everything in the middle.
 * @param {{question: any, scene: any, crops: Map<number, any>, picked: any, look: Look, go: (offset: number) => void}} shown
 */
export function drawStage({ question, scene, crops, picked, look, go }) {
  const { y0, x0, step } = scene.window;
  // the centre of pixel 0 is at 0, its corner at -1/2; crops may have one pixel for several
  const toCrop = (y, x) => [(y - y0 + 0.5) / step, (x - x0 + 0.5) / step];
  const matters = [point(scene, question.cell, toCrop), ...question.candidates.filter(seen(question)).map(({ cell }) => point(scene, cell, toCrop))].filter(Boolean);
  const contrast = contrastOf([...crops.values()], look.contrast);
  const figures = [...byId("stage").querySelectorAll("figure")];
  const strip = stripOf(byId("strip"));
  // all is measured before anything is drawn, so that the page is laid out once
  const stage = byId("stage").getBoundingClientRect();
  const boxes = figures.map((figure) => figure.getBoundingClientRect());
  const small = strip.map((figure) => ({ width: figure.clientWidth, height: figure.clientHeight }));
  const size = sizeOf(scene);
  const panes = figures.map((figure, place) => {
    const t = question.frame + look.offset + (look.swapped ? 1 - place : place);
    const box = boxes[place];
    const view = viewOf(size, box, matters, look.zoom);
    const canvas = /** @type {HTMLCanvasElement} */ (figure.firstElementChild);
    drawCrop(canvas, box, crops.get(t) ?? null, contrast, view);
    return paneOf(t, box, stage, view, toCrop, captionOf(scene, crops.get(t), t, look));
  });
  const links = look.offset === 0;
  drawLinks(/** @type {any} */ (byId("links")), { scene, question, panes, picked, outlines: look.outlines || !scene.images, links });
  drawStrip(strip, small, {
    scene,
    question,
    crops,
    contrast,
    matters,
    toCrop,
    now: panes.map(({ t }) => t),
    outlines: look.outlines,
    go: (t) => go(t - question.frame),
  });
}

/** Leave the middle empty. */
export function clearStage() {
  byId("links").replaceChildren();
  byId("strip").replaceChildren();
  for (const canvas of byId("stage").querySelectorAll("canvas")) canvas.width = canvas.width * 1;
}

/** Return whether a candidate must be seen: one of the outcomes, unless it is next to impossible. */
const seen = (question) => {
  const cells = new Set(question.outcomes.flatMap(({ daughters }) => daughters));
  return ({ cell, probability }) => cells.has(cell) && (probability === null || probability >= SEEN);
};

function point(scene, wanted, toCrop) {
  for (const { cells } of scene.frames) {
    const found = cells.find(({ cell }) => cell === wanted);
    if (!found) continue;
    const [y, x] = toCrop(found.y, found.x);
    return { y, x };
  }
  return null;
}

function paneOf(t, box, stage, view, toCrop, caption) {
  const x = box.left - stage.left;
  const y = box.top - stage.top;
  const scale = box.width / view.width;
  const place = (/** @type {number} */ row, /** @type {number} */ column) => {
    const [atY, atX] = toCrop(row, column);
    return /** @type {[number, number]} */ ([x + (atX - view.x) * scale, y + (atY - view.y) * scale]);
  };
  const perPixel = toCrop(1, 0)[0] - toCrop(0, 0)[0];
  return { t, x, y, width: box.width, height: box.height, place, scale: scale * perPixel, caption };
}

function captionOf(scene, crop, t, look) {
  const depth = scene.ndim < 3 ? "" : crop?.z === null || crop?.z === undefined ? " · projection" : ` · z = ${crop.z}`;
  const beyond = scene.frames.some((frame) => frame.t === t) ? "" : " · not in the movie";
  const contrast = look.contrast === "auto" ? "" : ` · contrast ${look.contrast}`;
  return `t = ${t}${depth}${contrast}${beyond}`;
}
