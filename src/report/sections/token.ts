/** Tokens on the page: text from outside, in either direction of writing, with its white space visible. */
import { percent } from "../figures.ts";
import { html, type Markup } from "../html.ts";

/** Tokens of a distribution that are shown. */
const TOKENS = 5;

/** A token as code, kept from turning round what stands beside it. */
export function token(text: string): Markup {
  return html`<bdi><code>${visibleText(text)}</code></bdi>`;
}

export function tokenMasses(tokens: readonly { readonly text: string; readonly probability: number }[]): Markup {
  return html`${tokens.slice(0, TOKENS).map(({ text, probability }) => html`<span class="mass">${token(text)} ${percent(probability)}</span> `)}`;
}

/** White space as signs; a mark that would join the sign before it stands on a dotted circle. */
export function visibleText(text: string): string {
  const signs = text
    .replaceAll(" ", "\u2423")
    .replaceAll("\u00a0", "\u237d")
    .replaceAll("\n", "\u21b5")
    .replaceAll("\t", "\u21e5");
  return /^\p{M}/u.test(signs) ? `\u25cc${signs}` : signs;
}
