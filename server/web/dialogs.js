/** Small questions of the page's own: to which cell, what note, which pair of daughters. */

import { byId, html } from "./dom.js";
import { percent } from "./marks.js";

/** Open the dialog with some content; Escape closes it, and the focus goes back to where it was. */
export function openDialog(/** @type {string} */ title, /** @type {Node[]} */ ...content) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("dialog"));
  delete dialog.dataset.beside;
  dialog.replaceChildren(html("h2", { id: "dialog-title" }, title), ...content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/** Close it. */
export const closeDialog = () => /** @type {HTMLDialogElement} */ (byId("dialog")).close();

/** Return whether it is open. */
export const isDialogOpen = () => /** @type {HTMLDialogElement} */ (byId("dialog")).open;

/** Ask for the number of a cell. */
export function askCell(/** @type {(cell: number) => void} */ go) {
  const input = html("input", { id: "ask", inputmode: "numeric", pattern: "[0-9]+", required: true, autocomplete: "off" });
  askFor("Go to a cell", "Number of the cell", input, "Go", (text) => /^\d{1,15}$/.test(text) && go(Number(text)));
  input.focus();
}

/** Ask for a note to a flag. */
export function askNote(/** @type {number} */ cell, /** @type {(note: string) => void} */ flag) {
  const input = html("input", { id: "ask", maxlength: 500, size: 50, autocomplete: "off" });
  askFor(`Flag cell ${cell} for another look`, "Note (may be empty)", input, "Flag", flag);
  input.focus();
}

function askFor(title, what, input, name, does) {
  const submit = (event) => {
    event.preventDefault();
    const text = input.value.trim();
    closeDialog();
    does(text);
  };
  const form = html(
    "form",
    { submit },
    html("label", { for: "ask" }, what),
    input,
    html("button", { type: "submit", class: "main" }, name),
    html("button", { type: "button", click: closeDialog }, "Cancel"),
  );
  openDialog(title, form);
}

/**
 * Ask which pair of daughters, by the keys 1 to 9, beside the pictures of the cell.
 * @param {number} cell
 * @param {{daughters: number[], probability: number | null, text: string}[]} pairs the likeliest first
 * @param {(daughters: number[]) => void} choose
 */
export function askPair(cell, pairs, choose) {
  const take = (daughters) => {
    closeDialog();
    choose(daughters);
  };
  const buttons = pairs.slice(0, 9).map(({ daughters, probability, text }, place) =>
    html(
      "button",
      { type: "button", "data-place": place + 1, click: () => take(daughters) },
      html("kbd", {}, place + 1),
      ` ${text}${probability === null ? "" : ` · ${probability ? percent(probability) : "<0.1 %"}`}`,
    ),
  );
  const list = html("div", { class: "row" }, ...buttons);
  list.addEventListener("keydown", (event) => {
    const pair = pairs.slice(0, 9)[Number(event.key) - 1];
    if (pair) take(pair.daughters);
  });
  const dialog = openDialog(`Into which pair does cell ${cell} divide?`, list, html("button", { type: "button", click: closeDialog }, "Cancel"));
  dialog.dataset.beside = "true";
  buttons[0]?.focus();
}
