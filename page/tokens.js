/**
 * Tokens in a row, each a button. The row is one stop of the Tab key, whatever its length; arrow keys, Home and End lead through it (WAI-ARIA
 * Authoring Practices, "Toolbar").
 */
import { element } from "./elements.js";

/** @typedef {{ text: string, kind: string, title: string, onChoose: () => void }} Token */

/** @param {number} logprob */
export const percent = (logprob) => `${(100 * Math.exp(logprob)).toFixed(1)} %`;

/** White space that can be seen. @param {string} text */
export const visible = (text) => text.replaceAll("\n", "⏎").replaceAll(" ", "·");

/** @param {readonly Token[]} tokens @param {string} label */
export function tokenRow(tokens, label) {
  const buttons = tokens.map(({ text, kind, title, onChoose }, at) =>
    element(
      "button",
      {
        type: "button",
        class: `token ${kind}`,
        title,
        tabindex: at === 0 ? 0 : -1,
        // A name of white space alone would be none.
        "aria-label": text.trim() === "" ? visible(text) : undefined,
        onclick: () => {
          stop(at);
          for (const button of buttons) button.removeAttribute("aria-current");
          buttons[at].setAttribute("aria-current", "true");
          onChoose();
        },
      },
      text.replaceAll("\n", "⏎"),
    ),
  );
  /** The one that Tab leads to. @param {number} at */
  const stop = (at) => {
    for (const [index, button] of buttons.entries()) button.tabIndex = index === at ? 0 : -1;
  };
  const move = (/** @type {KeyboardEvent} */ event) => {
    const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (event.target));
    const last = buttons.length - 1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, to));
    stop(next);
    buttons[next].focus();
  };
  return element(
    "div",
    { class: "tokens", role: "toolbar", "aria-label": `${label}; arrow keys lead through them`, onkeydown: move },
    // What a button has inside of it does not break the line around it.
    ...buttons.flatMap((button, at) => (tokens[at].text.includes("\n") ? [button, element("br")] : [button])),
  );
}
