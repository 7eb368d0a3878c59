/** What a newer solution changed: a list of cells, each a way to its question. */

import { get } from "./api.js";
import { closeDialog, openDialog } from "./dialogs.js";
import { byId, html } from "./dom.js";
import { say } from "./status.js";

/** Show the button if the store was solved again since the review was opened. */
export async function offerChanges() {
  const changes = await get("/api/changes").catch(() => null);
  if (!changes?.after) return;
  const button = byId("changes");
  button.hidden = false;
  button.title = `${changes.before} and ${changes.after}: ${counted(changes)}`;
}

/** List them; a click on a cell leads to it. */
export async function showChanges(/** @type {(cell: number) => void} */ go) {
  let changes;
  try {
    changes = await get("/api/changes");
  } catch (error) {
    return say(error.message, "bad");
  }
  const { before, after, comparable, cells, more } = changes;
  if (!after) return say("the store was not solved again", "busy");
  const items = cells.map(({ cell, frame, text }) => {
    const jump = () => {
      closeDialog();
      go(cell);
    };
    return html("li", {}, html("button", { type: "button", "data-cell": cell, click: jump }, `cell ${cell} · t${frame}: ${text}`));
  });
  const told = comparable ? `${counted(changes)}. A click leads to the cell.` : "They are of other detections and cannot be compared link by link.";
  const dialog = openDialog(
    `What ${after} changed of ${before}`,
    html("p", {}, told),
    html("ol", { class: "changes", "aria-label": "cells that do something else" }, ...items),
    more ? html("p", { class: "dim" }, `${more} more cells: trackdb diff STORE ${before} ${after}`) : html("span"),
    html("div", { class: "row" }, html("button", { type: "button", class: "main", click: closeDialog }, "Close")),
  );
  /** @type {HTMLElement | null} */ (dialog.querySelector("button"))?.focus();
}

const counted = ({ gone, new: added }) => `${gone} ${gone === 1 ? "link" : "links"} ${are(gone)} gone, ${added} ${are(added)} new`;
const are = (/** @type {number} */ n) => (n === 1 ? "is" : "are");
