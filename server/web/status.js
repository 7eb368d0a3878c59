/** What the page says of itself: progress, "saved" to everybody also by ear, and notices that want a decision. */

import { byId, html } from "./dom.js";

/** Say in the live region what became of the last thing done. */
export function say(/** @type {string} */ text, tone = "good") {
  const saved = byId("saved");
  saved.dataset.tone = tone;
  saved.title = text;
  saved.textContent = text;
}

/**
 * Show a notice, with buttons of which the first is focused.
 * @param {{tone?: string, title: string, text: string, buttons: {name: string, does: () => void}[], focus?: boolean}} notice
 */
export function notify({ tone = "calm", title, text, buttons, focus = true }) {
  const made = buttons.map(({ name, does }, place) =>
    html("button", { type: "button", class: place ? null : "main", click: does }, name),
  );
  const notice = byId("notice");
  notice.dataset.tone = tone;
  notice.replaceChildren(html("b", {}, title), html("p", {}, text), ...made);
  notice.hidden = false;
  if (focus) made[0]?.focus();
}

/** Take the notice away. */
export function clearNotice() {
  const notice = byId("notice");
  const focused = notice.contains(document.activeElement);
  notice.hidden = true;
  notice.replaceChildren();
  if (focused) byId("outcomes").focus();
}

/** Return whether a notice waits for a decision. */
export const isNoticed = () => !byId("notice").hidden;

/** Show what is reviewed, and by whom. */
export function showSession(session) {
  const { dataset, solution, posterior, method, who } = session;
  byId("about").replaceChildren(`${dataset} · solution `, html("b", {}, solution), " · posterior ", html("b", {}, posterior), ` (${method})`);
  byId("about").title = byId("about").textContent ?? "";
  byId("who").replaceChildren("annotator ", html("b", {}, who));
  byId("who").title = who;
}

/** Show how far the review is. */
export function showProgress({ answered, sitting, limit, open, expected_wrong: wrong, expected_wrong_start: start, can_undo: undoable }) {
  const [done, all] = limit ? [sitting, limit] : [answered, answered + open];
  const progress = byId("progress");
  progress.setAttribute("aria-valuenow", String(done));
  progress.setAttribute("aria-valuemax", String(all));
  /** @type {HTMLElement} */ (progress.firstElementChild).style.inlineSize = `${all ? (100 * done) / all : 0}%`;
  byId("count").textContent = limit ? `${sitting} / ${limit} of this sitting` : `${answered} answered · ${open} open`;
  const left = byId("left");
  // of a posterior that is not calibrated the number would be a guess: it is not shown
  left.hidden = wrong === null;
  if (wrong !== null) {
    const began = start === null ? "" : ` (start ${start.toFixed(1)})`;
    left.replaceChildren("expected wrong left ", html("b", {}, wrong.toFixed(1)), html("span", { class: "dim" }, began));
  }
  byId("undo").setAttribute("aria-disabled", String(!undoable));
}
