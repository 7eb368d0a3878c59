/** What an answer would change around: which cells, from what to what, before it is given. */

import { html } from "./dom.js";
import { percent } from "./marks.js";

const SHOWN = 5;

/** Show the reply of a preview. */
export function showEffect(/** @type {HTMLElement} */ target, /** @type {any} */ preview) {
  const { changes, n_changed: changed, n_flips: flips, errors } = preview;
  const told = [
    changed ? `${changed} ${changed === 1 ? "cell changes" : "cells change"}` : "nothing else changes",
    flips ? `${flips} ${flips === 1 ? "answer flips" : "answers flip"}` : null,
    errors === null || errors === undefined ? null : `expected wrong links ${signed(errors)}`,
  ];
  const rows = changes.slice(0, SHOWN).map(({ cell, before, after, flips: turned }) =>
    html(
      "tr",
      {},
      html("td", {}, `cell ${cell}`),
      html("td", {}, turned ? `→ ${after.text}` : after.text),
      html("td", { class: "number" }, `${percent(before.probability, 0)} → `, html("b", {}, percent(after.probability, 0))),
    ),
  );
  const table = rows.length
    ? html("table", { "aria-label": "cells that change, before and after" }, html("tbody", {}, ...rows))
    : null;
  target.replaceChildren(html("p", { class: "dim" }, told.filter(Boolean).join(" · ")), ...(table ? [table] : []));
}

/** Say something instead of an effect. */
export function sayNoEffect(/** @type {HTMLElement} */ target, /** @type {string} */ why) {
  target.replaceChildren(html("p", { class: "dim" }, why));
}

const signed = (/** @type {number} */ value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(2)}`;
