/**
 * How the outcomes of a question are told apart: by number, by colour and by dash, so that none of them is needed alone.
 *
 * Colours are those of Okabe and Ito ("Color Universal Design", 2008), two of them made lighter for a dark page.
 */

export const COLOURS = ["#56b4e9", "#e69f00", "#2fc99a", "#e79ac6", "#f0e442", "#ff8a5c", "#c3c9ce", "#8ab4ff", "#d7bfa6"];
const DASHES = ["", "9 4", "3 4", "12 3 3 3", "2 6", "7 2", "1 3", "14 5", "5 5 1 5"];

/** Return the colour and the dash of the outcome at a place of the list. */
export const markOf = (/** @type {number} */ place) => ({
  colour: COLOURS[place % COLOURS.length],
  dash: DASHES[place % DASHES.length],
});

/** Return a probability as the page tells it: whole per cent, with a digit more near 0 and 1. */
export function percent(p, digits = p > 0.995 || p < 0.01 ? 1 : 0) {
  if (p > 0 && p < 0.0005) return "<0.1 %";
  if (p < 1 && p > 0.9995) return ">99.9 %";
  return `${(100 * p).toFixed(digits)} %`;
}

/** Return a probability that may be an approximation; a bound needs no ≈. */
export function near(/** @type {number} */ p, /** @type {boolean} */ approximate) {
  const told = percent(p, 1);
  return approximate && !/^[<>]/.test(told) ? `≈ ${told}` : told;
}

/**
 * Return how each cell that an outcome names is marked: as the first outcome with it, and by the keys of all of them.
 * @returns {Map<number, {place: number, keys: number[], colour: string, dash: string}>}
 */
export function marksOf(question) {
  const marks = new Map();
  question.outcomes.forEach(({ daughters }, place) => {
    for (const cell of daughters) {
      if (!marks.has(cell)) marks.set(cell, { place, keys: [], ...markOf(place) });
      marks.get(cell).keys.push(place + 1);
    }
  });
  return marks;
}
