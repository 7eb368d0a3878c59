/** The questions to come, the most useful first, with how uncertain each is; under them the last answers. */

import { bar, html } from "./dom.js";
import { percent } from "./marks.js";

/**
 * Fill the list.
 * @param {HTMLElement} target
 * @param {any} state
 * @param {string} who whose page it is
 * @param {(cell: number) => void} go
 */
export function showQueue(target, state, who, go) {
  const focused = target.contains(document.activeElement) ? Number(document.activeElement?.getAttribute("data-cell")) : null;
  const current = state.question?.cell;
  const most = Math.max(1, ...state.queue.map((item) => item.entropy_bits ?? 0));
  const items = state.queue.map((item) => html("li", {}, entry(item, item.cell === current, most, go)));
  const said = state.recent.map((record) =>
    html("li", { class: "said", title: `${record.text} (${record.who})` }, ...told(record, who)),
  );
  const { audit } = state.progress;
  target.replaceChildren(
    html("h2", {}, `Most useful first (${state.open})`),
    html("ol", { "aria-label": "questions to come" }, ...items),
    html("h2", {}, "Said last"),
    html("ol", { "aria-label": "last answers, of everybody" }, ...said),
    ...(audit ? [html("p", { class: "dim said" }, auditText(audit))] : []),
  );
  const buttons = [...target.querySelectorAll("button")];
  const wanted = buttons.find((button) => Number(button.dataset.cell) === focused) ?? buttons.find((b) => b.getAttribute("aria-current")) ?? buttons[0];
  buttons.forEach((button) => (button.tabIndex = button === wanted ? 0 : -1));
  if (focused !== null) wanted?.focus();
}

/** Move the focus within the list; return whether the key was for it. */
export function moveInQueue(/** @type {HTMLElement} */ target, /** @type {string} */ key) {
  const buttons = [...target.querySelectorAll("button")];
  const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  if (at < 0) return false;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[key];
  if (to === undefined) return false;
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, to))];
  buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
  next.focus();
  return true;
}

function entry({ cell, frame, entropy_bits: bits, leased }, current, most, go) {
  const known = bits !== null && bits !== undefined;
  const told = `cell ${cell}, frame ${frame}${known ? `, ${bits.toFixed(2)} bit` : ""}${leased ? ", asked of someone else" : ""}`;
  return html(
    "button",
    { type: "button", "data-cell": cell, "aria-current": current ? "true" : null, "aria-label": told, click: () => go(cell) },
    html("span", {}, `cell ${cell} · t${frame}${leased ? " ·" : ""}`),
    known ? bar(bits / most, `${bits.toFixed(2)} bit`) : html("span"),
  );
}

/** Return an entry with the name of another who said it; one that was taken back says so first, and is struck out. */
function told(record, who) {
  const text = `#${record.seq} ${short(record)}`;
  const name = record.who === who ? null : html("b", {}, record.who);
  if (!record.undone) return [html("span", {}, text), name];
  return [html("span", {}, "undone: ", html("s", {}, text)), name];
}

function short({ kind, cell, frame, daughters, text }) {
  if (cell === null) return text;
  const place = frame === null || frame === undefined ? `cell ${cell}` : `cell ${cell} · t${frame}`;
  const did = kind !== "choose" ? kind.replaceAll("_", " ") : !daughters.length ? "ends" : daughters.length > 1 ? "divides" : `→ ${daughters[0]}`;
  return `${place} ${did}`;
}

function auditText({ asked, wrong, low, high }) {
  const range = low === null || low === undefined || high === null ? "" : ` (${percent(low, 0)} to ${percent(high, 0)})`;
  return `Blind audit: ${wrong} of ${asked} wrong${range}`;
}
