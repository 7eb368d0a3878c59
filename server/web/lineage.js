/** The solution's lineage around the cell: time to the right, the link in question dashed, settled links with a dot. */

import { svg } from "./dom.js";
import { percent } from "./marks.js";

const ASKED = "#f0b840";
const CALM = "#93a0aa";

/**
 * Draw the tree.
 * @param {SVGElement} target
 * @param {any} lineage as the server tells it
 * @param {number} frame frame of the cell
 */
export function drawLineage(target, lineage, frame) {
  const width = target.clientWidth || 320;
  const height = target.clientHeight || 150;
  const nodes = new Map(lineage.nodes.map((node) => [node.cell, { ...node, children: [] }]));
  const roots = [];
  for (const node of nodes.values()) {
    const parent = nodes.get(node.parent);
    if (parent) parent.children.push(node);
    else roots.push(node);
  }
  const lanes = placed(roots);
  const first = Math.min(lineage.first, frame);
  const last = Math.max(lineage.last, frame + 1);
  const x = (t) => 16 + ((t - first) * (width - 36)) / Math.max(1, last - first);
  const y = (lane) => 14 + ((lane + 0.5) * (height - 40)) / Math.max(1, lanes);
  const parts = [];
  for (const node of nodes.values()) parts.push(...linkTo(node, nodes.get(node.parent), lineage.cell, x, y));
  for (const node of nodes.values()) parts.push(knot(node, lineage.cell, x, y));
  const asked = nodes.get(lineage.cell);
  if (asked && !asked.children.length) parts.push(open(asked, lineage.blind, x, y));
  for (const t of ticks(first, last)) parts.push(svg("text", { x: x(t), y: height - 5 }, `t${t}`));
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  target.replaceChildren(...parts);
  const divisions = [...nodes.values()].filter((node) => node.children.length > 1).length;
  target.setAttribute("aria-label", `lineage around cell ${lineage.cell}, frames ${lineage.first} to ${lineage.last}, divisions: ${divisions}`);
}

/** Give each node a lane, a mother between her daughters; return how many lanes there are. */
function placed(roots) {
  let lanes = 0;
  const order = [];
  const stack = [...roots].reverse();
  while (stack.length) {
    const node = stack.pop();
    order.push(node);
    stack.push(...[...node.children].reverse());
  }
  for (const node of order) if (!node.children.length) node.lane = lanes++;
  for (const node of order.reverse()) {
    if (node.children.length) node.lane = node.children.reduce((sum, child) => sum + child.lane, 0) / node.children.length;
  }
  return lanes;
}

function linkTo(node, parent, cell, x, y) {
  if (!parent) {
    return node.before ? [svg("path", { d: `M${x(node.t) - 12} ${y(node.lane)}H${x(node.t)}`, stroke: CALM, "stroke-width": 2, "stroke-dasharray": "1 3" })] : [];
  }
  const asked = parent.cell === cell;
  const doubt = node.probability === null || node.probability === undefined ? 0 : 1 - node.probability;
  const d = `M${x(parent.t)} ${y(parent.lane)}V${y(node.lane)}H${x(node.t)}`;
  const stroke = asked ? ASKED : doubt > 0.1 ? "#ff9d7a" : CALM;
  const told = node.probability === null || node.probability === undefined ? "" : `: ${percent(node.probability)}`;
  const path = svg(
    "path",
    { d, fill: "none", stroke, "stroke-width": asked ? 4 : 2, "stroke-dasharray": asked ? "6 4" : doubt > 0.1 ? "8 2" : null },
    svg("title", {}, `${parent.cell} to ${node.cell}${told}${node.pinned ? ", settled" : ""}`),
  );
  const middle = (x(parent.t) + x(node.t)) / 2;
  return node.pinned ? [path, svg("circle", { cx: middle, cy: y(node.lane), r: 3, fill: "#3fcf9d", stroke: "#14171a" })] : [path];
}

function knot(node, cell, x, y) {
  const here = node.cell === cell;
  const mark = svg("circle", { cx: x(node.t), cy: y(node.lane), r: here ? 7 : 3.5, fill: here ? "#fff" : CALM }, svg("title", {}, `cell ${node.cell}, t ${node.t}`));
  if (!node.after) return mark;
  return svg("g", {}, svg("path", { d: `M${x(node.t)} ${y(node.lane)}h12`, stroke: CALM, "stroke-width": 2, "stroke-dasharray": "1 3" }), mark);
}

/** Return the end of a cell without daughters: what comes is in question, and where it is blind, not told. */
function open(node, blind, x, y) {
  const path = svg("path", { d: `M${x(node.t) + 8} ${y(node.lane)}H${x(node.t + 1)}`, stroke: ASKED, "stroke-width": 4, "stroke-dasharray": "6 4" });
  if (!blind) return path;
  const sign = svg("text", { x: x(node.t + 1) + 2, y: y(node.lane) - 8 }, "?");
  return svg("g", {}, path, sign);
}

function ticks(first, last) {
  const step = Math.max(1, Math.ceil((last - first) / 8));
  const all = [];
  for (let t = first; t <= last; t += step) all.push(t);
  return all;
}
