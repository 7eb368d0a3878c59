/** Elements made from plain values: text is always text, so a name with `<` in it is shown, never read as markup. */

const SVG = "http://www.w3.org/2000/svg";

/** Return the element of an id that index.html promises. */
export const byId = (/** @type {string} */ id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Return an element.
 * @param {string} tag
 * @param {Object<string, any>} [attributes] `null` and `false` are left out; functions listen to events (`click`).
 * @param {...(Node | string | number | null)} children
 */
export function html(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Return an element of SVG; parameters as of `html`. */
export function svg(/** @type {string} */ tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined).map((c) => (c instanceof Node ? c : String(c))));
  return element;
}

/** Return a key as the page shows it. */
export const keyCap = (/** @type {string} */ name) => html("kbd", {}, name);

/** Return a bar that is filled to a share; its width is set by script, which the page's policy allows. */
export function bar(share, label = null) {
  const fill = html("i");
  fill.style.inlineSize = `${100 * Math.min(1, Math.max(0, share))}%`;
  return html("span", { class: "bar", title: label }, fill);
}
