/** What keys and buttons do. */

import { showChanges } from "./changes.js";
import { askCell, askNote, askPair, isDialogOpen } from "./dialogs.js";
import { byId } from "./dom.js";
import { openHelp } from "./help.js";
import { LOOKING, keyName } from "./keys.js";
import { CONTRASTS } from "./picture.js";
import { moveInQueue } from "./queue.js";
import { say } from "./status.js";

/** @typedef {import("./review.js").Review} Review */

/** Return what each action does. @returns {Object<string, () => void>} */
export function actionsOf(/** @type {Review} */ review) {
  const star = () => review.question.outcomes.findIndex(({ chosen }) => chosen);
  const zoom = (factor) => review.lookAt({ zoom: Math.max(1, Math.min(8, review.look.zoom * factor)) });
  const time = (step) => review.lookAt({ offset: Math.max(-2, Math.min(2, review.look.offset + step)) });
  const move = (step) => {
    const n = review.question?.outcomes.length ?? 0;
    if (n) review.pick(Math.max(0, Math.min(n - 1, review.picked + step)));
  };
  return {
    take: () => review.accept(review.picked),
    accept: () => review.accept(star()),
    divides: () => divide(review),
    ends: () => review.decide("choose", []),
    none: () => (review.question.candidates.length ? review.decide("reject", null) : say("no link is shown that could be rejected", "busy")),
    not_a_cell: () => review.decide("not_a_cell", null),
    outline: () => review.decide("segmentation", null),
    unsure: () => review.decide("unsure", null),
    flag: () => askNote(review.question.cell, (note) => review.decide("flag", null, note || null)),
    undo: () => review.takeBack("undo"),
    redo: () => review.takeBack("redo"),
    next: () => review.ask({ after: String(review.question.cell) }),
    previous: () => review.previous(),
    go: () => askCell((cell) => review.goTo(cell)),
    queue: () => {
      const queue = byId("queue");
      const open = queue.dataset.open !== "true";
      queue.dataset.open = String(open);
      if (open || getComputedStyle(queue).position !== "fixed") /** @type {HTMLElement | null} */ (queue.querySelector("button[tabindex='0']"))?.focus();
      else byId("outcomes").focus();
    },
    tree: () => {
      byId("lineage").dataset.large = String(byId("lineage").dataset.large !== "true");
      review.drawTree();
    },
    changes: () => showChanges((cell) => review.goTo(cell)),
    up: () => move(-1),
    down: () => move(1),
    back: () => time(-1),
    ahead: () => time(1),
    blink: () => review.lookAt({ swapped: !review.look.swapped }),
    outlines: () => review.lookAt({ outlines: !review.look.outlines }),
    contrast: () => review.lookAt({ contrast: CONTRASTS[(CONTRASTS.indexOf(review.look.contrast) + 1) % CONTRASTS.length] }),
    zoom_in: () => zoom(1.4),
    zoom_out: () => zoom(1 / 1.4),
    projection: () => review.turnDepth(),
    play: () => review.play(),
    help: () => openHelp(review.keys, () => review.showKeys()),
  };
}

/** Answer that the cell divides: into the only pair that is likely, or into the one that is picked. */
function divide(/** @type {Review} */ review) {
  const { cell, frame, outcomes, candidates, pairs, blind } = review.question;
  const likely = outcomes.filter(({ daughters }) => daughters.length === 2);
  const weighed = new Map([...likely, ...pairs].map(({ daughters, probability }) => [pairName(daughters), probability]));
  const seen = new Set(likely.map(({ daughters }) => pairName(daughters)));
  const others = candidates
    .flatMap((a, place) => candidates.slice(place + 1).map((b) => [a.cell, b.cell].sort((one, other) => one - other)))
    .filter((daughters) => !seen.has(pairName(daughters)))
    .map((daughters) => ({ daughters }));
  const frames = new Map(candidates.map((candidate) => [candidate.cell, candidate.frame]));
  const named = (daughter) => `${daughter}${(frames.get(daughter) ?? frame + 1) > frame + 1 ? ` (t ${frames.get(daughter)})` : ""}`;
  const told = ({ daughters }) => {
    // what is not among the outcomes was weighed as next to impossible
    const probability = blind ? null : (weighed.get(pairName(daughters)) ?? 0);
    return { daughters, probability, text: daughters.map(named).join(" + ") };
  };
  const all = [...likely, ...others].map(told).sort((a, b) => (b.probability ?? 0) - (a.probability ?? 0));
  if (!likely.length && !others.length) say("there is no pair of candidates", "busy");
  else if (likely.length === 1) review.decide("choose", likely[0].daughters);
  else askPair(cell, all, (daughters) => review.decide("choose", daughters));
}

const pairName = (/** @type {number[]} */ daughters) => [...daughters].sort((a, b) => a - b).join(" ");

/** Do what a key stands for. */
export function onKey(/** @type {Review} */ review, /** @type {KeyboardEvent} */ event) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.isComposing || isDialogOpen() || target.matches("input, textarea, select")) return;
  if (byId("queue").contains(target) && moveInQueue(byId("queue"), event.key)) return event.preventDefault();
  // a focused button is pressed by Enter and Space, whatever these do elsewhere
  if (target.matches("button") && ["Enter", " "].includes(event.key)) return;
  const name = review.keys.action(keyName(event));
  if (!name) return;
  event.preventDefault();
  // a key that is held must not answer one question after the other
  if (event.repeat && !LOOKING.has(name)) return;
  review.run(name);
}
