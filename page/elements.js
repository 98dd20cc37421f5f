/** Elements of the page. Text is only ever text: nothing that a model says becomes markup. */

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * An element with attributes, listeners (`onclick`) and children.
 * @param {string} name
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string)} children
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined) made.setAttribute(key, String(value));
  }
  made.append(...children);
  return made;
}

/** What a screen reader says, and everybody sees. @param {string} words @param {string} [place] */
export function tell(words, place = "status") {
  byId(place).textContent = words;
}

/** Whether what has the focus is inside of an element: what is made anew must not drop it. @param {Element} within */
export function hasFocus(within) {
  return within.contains(document.activeElement);
}
