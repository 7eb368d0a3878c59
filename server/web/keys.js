/**
 * Which key does what. The server tells the keys of the beginning; a person may change them or switch them off
 * (WCAG 2.1.4), and the browser keeps that for the next time.
 */

/** @typedef {{name: string, what: string, group: string}} Action */

const STORED = "trackdb-review-keys";

/** What can be done, in the order of the help; `outcome-3` is the third key of the server's `outcome`. @type {Action[]} */
export const ACTIONS = [
  { name: "take", what: "take the highlighted outcome, at first the solver's ★ if there is one", group: "Answer" },
  { name: "accept", what: "accept the solver's answer ★", group: "Answer" },
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => ({ name: `outcome-${n}`, what: `choose outcome ${n}`, group: "Answer" })),
  { name: "divides", what: "it divides; of several pairs, pick one", group: "Answer" },
  { name: "ends", what: "the track ends here", group: "Answer" },
  { name: "none", what: "none of the links shown", group: "Answer" },
  { name: "not_a_cell", what: "this is no cell", group: "Answer" },
  { name: "outline", what: "the outline is wrong, merged or split", group: "Answer" },
  { name: "unsure", what: "cannot tell; you are not asked again", group: "Answer" },
  { name: "flag", what: "flag for another look, with a note", group: "Answer" },
  { name: "undo", what: "take the last answer back, again and again", group: "Answer" },
  { name: "redo", what: "give it again", group: "Answer" },
  { name: "next", what: "next question, without an answer", group: "Move" },
  { name: "previous", what: "question before", group: "Move" },
  { name: "go", what: "go to a cell by its number", group: "Move" },
  { name: "queue", what: "list of questions", group: "Move" },
  { name: "tree", what: "lineage tree, small or large", group: "Move" },
  { name: "changes", what: "what the newest solve changed", group: "Move" },
  { name: "up", what: "highlight the outcome above", group: "Look" },
  { name: "down", what: "highlight the outcome below", group: "Look" },
  { name: "back", what: "one frame back", group: "Look" },
  { name: "ahead", what: "one frame ahead", group: "Look" },
  { name: "blink", what: "exchange the two frames in place", group: "Look" },
  { name: "outlines", what: "outlines on or off", group: "Look" },
  { name: "contrast", what: "next contrast", group: "Look" },
  { name: "zoom_in", what: "closer", group: "Look" },
  { name: "zoom_out", what: "further away", group: "Look" },
  { name: "projection", what: "3D: projection or slice", group: "Look" },
  { name: "play", what: "play the frames around", group: "Look" },
  { name: "help", what: "this list", group: "Look" },
];

/** What may be done while an answer is on its way, and as long as a key is held. */
export const LOOKING = new Set(ACTIONS.filter(({ group }) => group === "Look").map(({ name }) => name));

/** Return the name of the key of an event: `a`, `Shift+z`, `Ctrl+z`, `Space`, `?`. */
export function keyName(/** @type {KeyboardEvent} */ event) {
  const key = plain(event.key);
  // a sign such as ? needs Shift on some keyboards and not on others; of letters and named keys Shift is told
  const shifted = event.shiftKey && (key.length > 1 || key.toUpperCase() !== key) ? "Shift+" : "";
  return `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.altKey ? "Alt+" : ""}${shifted}${key}`;
}

/** Return a key's name as a person reads it. */
export function shownKey(/** @type {string} */ name) {
  const shown = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Backspace: "⌫", Shift: "⇧" };
  return parts(name).map((part) => shown[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join("+");
}

const plain = (key) => (key === " " ? "Space" : key.length === 1 ? key.toLowerCase() : key);
const parts = (name) => name.split(/\+(?=.)/);

/** The keys of this browser. */
export class KeyMap {
  /** @param {Object<string, string[]>} told the server's keys by action */
  constructor(told, storage = window.localStorage) {
    this.storage = storage;
    /** @type {Object<string, string[]>} */
    this.first = {};
    for (const [name, keys] of Object.entries(told)) {
      const named = keys.map((key) => parts(key).map(plain).join("+"));
      if (name === "outcome") named.forEach((key, place) => (this.first[`outcome-${place + 1}`] = [key]));
      else this.first[name] = named;
    }
    // Enter takes what a person sees highlighted, as in every list box; at first that is the solver's answer
    if (this.first.accept?.includes("Enter")) {
      this.first.accept = this.first.accept.filter((key) => key !== "Enter");
      this.first.take = ["Enter"];
    }
    /** @type {Object<string, string[]>} what differs from them */
    this.own = {};
    /** Off, every action is still a button. */
    this.on = true;
    try {
      const kept = JSON.parse(storage.getItem(STORED) ?? "{}");
      this.on = kept.on !== false;
      for (const { name } of ACTIONS) {
        if (Array.isArray(kept.own?.[name])) this.own[name] = kept.own[name].filter((key) => typeof key === "string");
      }
    } catch {
      storage.removeItem(STORED);
    }
  }

  /** Return the keys of an action. */
  of(/** @type {string} */ name) {
    return this.own[name] ?? this.first[name] ?? [];
  }

  /** Return the first key of an action as a person reads it, or an empty string. */
  shown(/** @type {string} */ name) {
    return this.on && this.of(name).length ? shownKey(this.of(name)[0]) : "";
  }

  /** Return the action of a key, or null. */
  action(/** @type {string} */ key) {
    return (this.on && ACTIONS.find(({ name }) => this.of(name).includes(key))?.name) || null;
  }

  /** Give an action a key, which is taken from any other that had it; `null` takes all its keys away. */
  set(/** @type {string} */ name, /** @type {string | null} */ key) {
    for (const { name: other } of ACTIONS) {
      if (key !== null && other !== name && this.of(other).includes(key)) {
        this.own[other] = this.of(other).filter((had) => had !== key);
      }
    }
    this.own[name] = key === null ? [] : [key];
    this.keep();
  }

  /** Switch all keys on or off. */
  switch(/** @type {boolean} */ on) {
    this.on = on;
    this.keep();
  }

  /** Go back to the keys of the beginning. */
  reset() {
    this.own = {};
    this.on = true;
    this.keep();
  }

  keep() {
    this.storage.setItem(STORED, JSON.stringify({ on: this.on, own: this.own }));
  }
}
