/** The list of keys, and how to change them: click a key and press another one. */

import { closeDialog, openDialog } from "./dialogs.js";
import { html, keyCap } from "./dom.js";
import { ACTIONS, keyName, shownKey } from "./keys.js";

const LEGEND = ["take", "outcome-1", "divides", "ends", "none", "not_a_cell", "outline", "unsure", "undo", "next", "up", "blink", "outlines", "help"];
const SHORT = {
  take: "take the highlighted",
  "outcome-1": "… choose",
  divides: "divides",
  ends: "ends",
  none: "none of these",
  not_a_cell: "no cell",
  outline: "bad outline",
  unsure: "can't tell",
  undo: "undo",
  next: "next, no answer",
  up: "effect of others",
  blink: "blink",
  outlines: "outlines",
  help: "all keys",
};

/**
 * Show the most used keys along the bottom.
 * @param {HTMLElement} target
 * @param {import("./keys.js").KeyMap} keys
 * @param {boolean} starred whether the question has a ★, which is highlighted at first
 */
export function showLegend(target, keys, starred) {
  const first = starred ? ", at first ★" : ", at first none";
  const shown = LEGEND.filter((name) => keys.shown(name));
  const entries = shown.map((name) => html("span", {}, keyCap(keys.shown(name)), ` ${SHORT[name]}${name === "take" ? first : ""}`));
  target.replaceChildren(...(entries.length ? entries : [html("span", {}, "Keys are off; Help switches them on.")]));
}

/**
 * Open the help.
 * @param {import("./keys.js").KeyMap} keys
 * @param {() => void} changed called after each change
 */
export function openHelp(keys, changed) {
  const said = html("p", { class: "dim", role: "status", "aria-live": "polite" }, "Click a key to change it.");
  const again = (text, name = "") => {
    changed();
    openHelp(keys, changed);
    const dialog = /** @type {HTMLElement} */ (document.getElementById("dialog"));
    /** @type {HTMLElement} */ (dialog.querySelector("[role=status]")).textContent = text;
    /** @type {HTMLElement | null} */ (dialog.querySelector(`[data-key-of="${name}"]`))?.focus();
  };
  const on = html("input", { type: "checkbox", id: "keys-on", change: () => { keys.switch(on.checked); again(on.checked ? "Keys are on." : "Keys are off; every action is still a button.", ""); } });
  on.checked = keys.on;
  const groups = ["Answer", "Move", "Look"].flatMap((group) => [
    html("h3", {}, group),
    html("div", { class: "keys" }, ...ACTIONS.filter((action) => action.group === group).map((action) => row(action, keys, said, again))),
  ]);
  openDialog(
    "Keys",
    html("p", {}, "One key is one answer. The next question comes when the answer is on the disk, and every answer can be taken back."),
    html("div", { class: "row" }, on, html("label", { for: "keys-on" }, "keys are on"), html("button", { type: "button", click: () => { keys.reset(); again("The keys are those of the beginning."); } }, "Reset all keys")),
    said,
    ...groups,
    html("div", { class: "row" }, html("button", { type: "button", class: "main", click: closeDialog }, "Close")),
  );
}

function row({ name, what }, keys, said, again) {
  const told = keys.of(name).map(shownKey).join("  ") || "off";
  const button = html("button", { type: "button", "data-key-of": name, "aria-label": `${what}: ${told}. Change the key` }, told);
  button.addEventListener("click", () => {
    button.textContent = "press…";
    said.textContent = `Press the new key for "${what}"; Escape leaves it, Delete switches it off.`;
    const listen = (/** @type {KeyboardEvent} */ event) => {
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      button.removeEventListener("keydown", listen);
      button.removeEventListener("blur", leave);
      if (event.key === "Escape" || event.key === "Tab") return again("Nothing was changed.", name);
      const key = event.key === "Delete" ? null : keyName(event);
      keys.set(name, key);
      again(key === null ? `No key for "${what}" now.` : `${shownKey(key)} is the key for "${what}" now.`, name);
    };
    const leave = () => {
      button.removeEventListener("keydown", listen);
      button.textContent = told;
    };
    button.addEventListener("keydown", listen);
    button.addEventListener("blur", leave, { once: true });
  });
  return html("div", {}, html("span", {}, what), button);
}
