/** The film strip: two frames before and three after, for a division is seen in time, not in two frames. */

import { html, svg } from "./dom.js";
import { outline, outlineOfAll } from "./links.js";
import { marksOf } from "./marks.js";
import { drawCrop, viewOf } from "./picture.js";

const FAINT = { stroke: "#7d8992", "stroke-width": 0.8 };
const AROUND = [-2, -1, 0, 1, 2, 3];

/**
 * Return the figures of the strip, made once: frames of the movie, and empty places beyond it.
 * @param {HTMLElement} target
 */
export function stripOf(target) {
  if (!target.children.length) {
    target.append(...AROUND.map(() => html("figure", {}, html("canvas"), svg("svg", { "aria-hidden": "true" }), html("figcaption"))));
  }
  return /** @type {HTMLElement[]} */ ([...target.children]);
}

/**
 * Draw the strip.
 * @param {HTMLElement[]} figures
 * @param {{width: number, height: number}[]} boxes their sizes on the screen
 * @param {{scene: any, question: any, crops: Map<number, any>, contrast: any, matters: any[], toCrop: any, now: number[], outlines: boolean, go: (t: number) => void}} shown
 */
export function drawStrip(figures, boxes, { scene, question, crops, contrast, matters, toCrop, now, outlines, go }) {
  const marks = marksOf(question);
  const size = sizeOf(scene);
  const there = new Map(scene.frames.map((frame) => [frame.t, frame]));
  figures.forEach((made, place) => {
    const t = question.frame + AROUND[place];
    const cells = there.get(t)?.cells;
    const [canvas, over, caption] = made.children;
    made.className = cells ? "" : "beyond";
    made.onclick = cells ? () => go(t) : null;
    if (!cells) {
      for (const name of ["data-t", "data-now"]) made.removeAttribute(name);
      return;
    }
    made.setAttribute("data-t", String(t));
    made.setAttribute("data-now", String(now.includes(t)));
    caption.textContent = `t = ${t}`;
    const pane = boxes[place];
    const view = viewOf(size, pane, matters, 1);
    drawCrop(/** @type {HTMLCanvasElement} */ (canvas), pane, crops.get(t) ?? null, contrast, view);
    const scale = pane.width / view.width;
    const at = { place: placing(toCrop, view, scale), scale: scale / scene.window.step };
    const isAsked = ({ cell }) => cell === question.cell || marks.has(cell);
    const others = outlines && !scene.images ? outlineOfAll(at, cells.filter((cell) => !isAsked(cell)), FAINT) : null;
    const drawn = cells.filter(isAsked).map((cell) => outline(at, cell, styleOf(cell.cell, question, marks)));
    over.replaceChildren(...(others ? [others] : []), ...drawn);
  });
}

/** Return where on the screen a place of the frame lies. */
function placing(toCrop, view, scale) {
  return (y, x) => {
    const [row, column] = toCrop(y, x);
    return [(column - view.x) * scale, (row - view.y) * scale];
  };
}

/** Return how many pixels the crops of a scene have, which it tells whether there are images or not. */
export function sizeOf({ window: { height, width, step } }) {
  return { width: Math.ceil(width / step), height: Math.ceil(height / step) };
}

function styleOf(cell, question, marks) {
  if (cell === question.cell) return { stroke: "#fff", "stroke-width": 2 };
  const { colour, dash } = marks.get(cell);
  return { stroke: colour, "stroke-width": 1.8, "stroke-dasharray": dash };
}
