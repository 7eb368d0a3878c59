/** Cells and candidate links over the two frames, in SVG: sharp at every zoom, and told to who cannot see them. */

import { svg } from "./dom.js";
import { marksOf, percent } from "./marks.js";

const FAINT = "#7d8992";
const RIVAL = "#c6d0d8";
const UNSHOWN = 0.02;

/**
 * Draw the overlay.
 * @param {SVGElement} target
 * @param {{scene: any, question: any, panes: Pane[], picked: any, outlines: boolean, links: boolean}} shown
 * @typedef {{t: number, x: number, y: number, width: number, height: number, place: (y: number, x: number) => [number, number], scale: number, caption: string}} Pane
 */
export function drawLinks(target, { scene, question, panes, picked, outlines, links }) {
  const marks = marksOf(question);
  const rivals = new Map(question.rivals.map((rival) => [rival.cell, rival]));
  const cells = new Map(scene.frames.map(({ t, cells }) => [t, cells]));
  const parts = [svg("defs", {}, ...panes.map(clip))];
  const chosen = new Set(picked ? picked.daughters : []);
  panes.forEach((pane, place) => {
    const drawn = (cells.get(pane.t) ?? []).filter(({ cell }) => outlines || cell === question.cell || marks.has(cell));
    if (links && pane.t !== question.frame) drawn.push(...laterCandidates(question, cells, marks));
    const isAsked = ({ cell }) => cell === question.cell || marks.has(cell) || rivals.has(cell);
    const others = outlineOfAll(pane, drawn.filter((cell) => !isAsked(cell)), { stroke: FAINT, "stroke-width": 1 });
    const inside = drawn.filter(isAsked).map((cell) => outline(pane, cell, styleOf(cell.cell, question, marks)));
    parts.push(svg("g", { "clip-path": `url(#pane-${place})` }, others, ...inside));
  });
  if (links) {
    parts.push(svg("g", {}, ...rivalLinks(question, cells, panes, marks)));
    parts.push(...candidateLinks(question, cells, panes, marks, chosen));
  }
  panes.forEach((pane, place) => {
    const signed = links && pane.t !== question.frame;
    const named = (cells.get(pane.t) ?? []).filter(({ cell }) => cell === question.cell || (marks.has(cell) && !signed) || (outlines && rivals.has(cell)));
    const labels = named.map((cell) => label(pane, cell));
    parts.push(svg("g", { "clip-path": `url(#pane-${place})` }, ...labels), caption(pane));
  });
  target.replaceChildren(...parts);
  target.setAttribute("aria-label", told(question, marks));
}

/** Return candidates beyond the next frame: a cell may be missed in one. They stand where they come back. */
function laterCandidates(question, cells, marks) {
  return question.candidates
    .filter(({ cell, frame }) => frame > question.frame + 1 && marks.has(cell))
    .map(({ cell, frame }) => cells.get(frame)?.find((found) => found.cell === cell))
    .filter(Boolean);
}

function told(question, marks) {
  const candidates = question.candidates.filter(({ cell }) => marks.has(cell)).map(({ cell, probability }) =>
    `${cell}${probability === null ? "" : `, ${percent(probability)}`}`);
  const many = candidates.length === 1 ? "1 candidate" : `${candidates.length} candidates`;
  return `cell ${question.cell} at frame ${question.frame}, ${many}${candidates.length ? `: ${candidates.join("; ")}` : ""}`;
}

const clip = (pane, place) =>
  svg("clipPath", { id: `pane-${place}` }, svg("rect", { x: pane.x, y: pane.y, width: pane.width, height: pane.height, rx: 6 }));

function styleOf(cell, question, marks) {
  if (cell === question.cell) return { stroke: "#fff", "stroke-width": 3.5 };
  const mark = marks.get(cell);
  if (mark) return { stroke: mark.colour, "stroke-width": 3, "stroke-dasharray": mark.dash };
  return { stroke: RIVAL, "stroke-width": 1.6 };
}

/** Return the outline of a cell: of its mask, or else a circle of its size. */
export function outline(pane, cell, style) {
  if (!cell.outline?.length) {
    const [x, y] = pane.place(cell.y, cell.x);
    return svg("circle", { cx: x, cy: y, r: Math.max(3, cell.radius * pane.scale), fill: "none", ...style });
  }
  return svg("path", { d: wayAround(pane, cell), fill: "none", "stroke-linejoin": "round", ...style });
}

/** Return the outlines of many cells as one element, for a page of a thousand elements is slow; null of none. */
export function outlineOfAll(pane, cells, style) {
  if (!cells.length) return null;
  return svg("path", { class: "cells", d: cells.map((cell) => wayAround(pane, cell)).join(""), fill: "none", "stroke-linejoin": "round", ...style });
}

function wayAround(pane, cell) {
  if (!cell.outline?.length) {
    const [x, y] = pane.place(cell.y, cell.x);
    const r = Math.max(3, cell.radius * pane.scale).toFixed(1);
    return `M${(x - Number(r)).toFixed(1)} ${y.toFixed(1)}a${r} ${r} 0 1 0 ${2 * Number(r)} 0a${r} ${r} 0 1 0 ${-2 * Number(r)} 0`;
  }
  const loop = (points) => `M${points.map(([row, column]) => pane.place(row, column).map((v) => v.toFixed(1)).join(" ")).join("L")}Z`;
  return cell.outline.map(loop).join("");
}

function label(pane, cell) {
  const [x] = pane.place(cell.y, cell.x);
  const above = Math.max(pane.y + 38, rows(pane, cell)[0] - 6);
  return svg("text", { class: "outlined", x, y: above, "text-anchor": "middle" }, cell.cell);
}

/** Return where a cell begins and ends, from top to bottom of the screen. */
function rows(pane, cell) {
  const ys = cell.outline?.length ? cell.outline.flat().map(([y]) => y) : [cell.y - cell.radius, cell.y + cell.radius];
  return [Math.min(...ys), Math.max(...ys)].map((y) => pane.place(y, cell.x)[1]);
}

const caption = (pane) => svg("text", { class: "outlined when", x: pane.x + 9, y: pane.y + 21 }, pane.caption);

/** Return a curve from the rim of one cell to that of another, or null where one of them is not shown. */
function curve(question, cells, panes, source, target, targetFrame) {
  const from = panes.find(({ t }) => t === question.frame);
  const to = panes.find(({ t }) => t !== question.frame);
  const a = cells.get(question.frame)?.find(({ cell }) => cell === source);
  const b = cells.get(targetFrame)?.find(({ cell }) => cell === target);
  if (!from || !to || !a || !b) return null;
  const way = from.x < to.x ? 1 : -1;
  const [x1, y1] = within(from, from.place(a.y, a.x), way * a.radius * from.scale);
  const [x2, y2] = within(to, to.place(b.y, b.x), -way * b.radius * to.scale);
  const middle = (x1 + x2) / 2;
  return { d: `M${x1} ${y1} C ${middle} ${y1 - 24}, ${middle} ${y2 - 24}, ${x2} ${y2}`, x: x2, y: y2, to, cell: b };
}

/** Return a point beside a place, held inside its pane. */
function within(pane, [x, y], aside) {
  return [
    Math.max(pane.x, Math.min(pane.x + pane.width, x + aside)),
    Math.max(pane.y, Math.min(pane.y + pane.height, y)),
  ];
}

function rivalLinks(question, cells, panes, marks) {
  const drawn = [];
  for (const { cell, links } of question.rivals) {
    for (const { target, probability } of links) {
      if (!marks.has(target) || (probability !== null && probability < UNSHOWN)) continue;
      const frame = question.candidates.find((candidate) => candidate.cell === target)?.frame;
      const way = curve(question, cells, panes, cell, target, frame);
      const width = 0.8 + 3 * (probability ?? 0);
      if (way) drawn.push(svg("path", { d: way.d, fill: "none", stroke: RIVAL, "stroke-width": width, "stroke-dasharray": "2 5", opacity: 0.7 }));
    }
  }
  return drawn;
}

function candidateLinks(question, cells, panes, marks, chosen) {
  const drawn = [];
  const signs = [];
  const taken = [];
  for (const { cell, frame, probability } of question.candidates) {
    const mark = marks.get(cell);
    const way = curve(question, cells, panes, question.cell, cell, frame);
    if (!mark || !way) continue;
    const width = probability === null ? 2.5 : 1.2 + 6 * probability;
    const opacity = chosen.size && !chosen.has(cell) ? 0.5 : 0.95;
    drawn.push(
      svg(
        "path",
        { class: "candidate", "data-cell": cell, d: way.d, fill: "none", stroke: mark.colour, "stroke-width": width, "stroke-dasharray": mark.dash, opacity },
        svg("title", {}, `${question.cell} to ${cell}${probability === null ? "" : `: ${percent(probability)}`}`),
      ),
    );
    const later = frame > question.frame + 1 ? ` · t ${frame}` : "";
    const text = ` ${cell}${probability === null ? "" : ` · ${percent(probability)}`}${later}`;
    signs.push(sign(way, mark, text, taken));
  }
  return [...drawn, ...signs];
}

/** Return the sign under a candidate; one that would cover another gives way to the next place that is free. */
function sign({ to, cell }, { keys, colour }, text, taken) {
  const [x] = to.place(cell.y, cell.x);
  const width = 14 + 8.1 * (keys.length * 1.5 + text.length);
  const left = Math.max(to.x + 2, Math.min(to.x + to.width - width - 2, x - width / 2));
  const [highest, lowest] = [to.y + 2, to.y + to.height - 24];
  const wanted = Math.max(highest, Math.min(lowest, rows(to, cell)[1] + 5));
  const covers = (/** @type {number} */ at) => taken.some((other) => Math.abs(other.top - at) < 23 && left < other.right && other.left < left + width);
  const places = Array.from({ length: 60 }, (_, k) => [wanted + 4 * k, wanted - 4 * k]).flat();
  const top = places.find((at) => at >= highest && at <= lowest && !covers(at)) ?? wanted;
  taken.push({ left, right: left + width, top });
  return svg(
    "g",
    { class: "sign" },
    svg("rect", { x: left, y: top, width, height: 21, rx: 4, fill: "#000", "fill-opacity": 0.82, stroke: colour }),
    svg("text", { x: left + width / 2, y: top + 15, "text-anchor": "middle" }, svg("tspan", { fill: colour, "font-weight": 800 }, keys.join(" ")), text),
  );
}
