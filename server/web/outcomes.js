/** What the cell may do, as a list box: each outcome has a number, a colour and a dash, a probability and a key. */

import { bar, html } from "./dom.js";
import { markOf, near, percent } from "./marks.js";

/**
 * Fill the list box.
 * @param {HTMLElement} box
 * @param {any} question
 * @param {{keyOf: (place: number) => string, choose: (place: number) => void, look: (place: number | null) => void}} does
 */
export function showOutcomes(box, question, { keyOf, choose, look }) {
  const items = question.outcomes.map((outcome, place) => item(question, outcome, place, keyOf(place), choose, look));
  box.replaceChildren(...items);
}

/** Mark the outcome at a place as highlighted, and bring it into sight if a person moved there; -1 marks none. */
export function highlight(/** @type {HTMLElement} */ box, /** @type {number} */ place, moved = true) {
  [...box.children].forEach((child, at) => child.setAttribute("aria-selected", String(at === place)));
  if (place >= 0) {
    box.setAttribute("aria-activedescendant", `outcome-${place + 1}`);
    if (moved) box.children[place]?.scrollIntoView({ block: "nearest" });
  } else box.removeAttribute("aria-activedescendant");
}

function item(question, outcome, place, key, choose, look) {
  const { colour, dash } = markOf(place);
  const shown = outcome.probability !== null;
  const cap = html("span", { class: "key", "aria-hidden": "true" }, key || "·");
  cap.style.borderColor = colour;
  cap.style.borderStyle = dash ? "dashed" : "solid";
  const filled = shown ? bar(outcome.probability) : null;
  if (filled) filled.style.color = colour;
  const said = [`${place + 1}: ${outcome.text}`, outcome.chosen ? "solver's answer" : null, shown ? percent(outcome.probability) : null];
  return html(
    "div",
    {
      role: "option",
      id: `outcome-${place + 1}`,
      class: "outcome",
      "aria-selected": "false",
      "aria-label": said.filter(Boolean).join(", "),
      "data-daughters": outcome.daughters.join(" "),
      click: () => choose(place),
      mouseenter: () => look(place),
      mouseleave: () => look(null),
    },
    cap,
    html("b", {}, outcome.text, outcome.chosen ? html("span", { title: "the solver's answer" }, " ★") : null),
    shown ? html("span", { class: "p" }, near(outcome.probability, question.approximate)) : html("span"),
    filled,
  );
}
