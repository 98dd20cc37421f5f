/** One answer on the page: its text as it comes, how fast it came, and on wish the probability of every token. */
import { element } from "./elements.js";
import { markedAt } from "./parting.js";
import { streamAnswer } from "./server.js";
import { percent, tokenRow, visible } from "./tokens.js";

/** @typedef {{ role: string, content: string }} Message */
/** @typedef {{ temperature: number, length: number, probabilities: boolean }} Settings */
/** @typedef {{ text: string, figures: string, tokens: any[] | null, problem: string | null }} Answer */

const UNLIKELY = Math.log(0.1);
const LIKELY = Math.log(0.5);
const ALTERNATIVES = 5;
const LEAST_TIMED_SECONDS = 0.05;

/** A card with a title, and what an answer looks like in it. @param {string} title */
export function answerCard(title) {
  const heading = element("h3", {}, title);
  const figures = element("p", { class: "figures" });
  const text = element("div", { class: "text" });
  const card = element("article", { class: "answer", "aria-label": `Answer of ${title}` }, heading, figures, text);
  return {
    card,
    /** @param {string} name */
    rename: (name) => {
      heading.textContent = name;
      card.setAttribute("aria-label", `Answer of ${name}`);
    },
    /** `parting`: where the text parts from the other ones, -1 for nowhere. @param {Answer} answer @param {boolean} busy @param {number} [parting] */
    show: (answer, busy, parting = -1) => {
      card.setAttribute("aria-busy", String(busy));
      figures.textContent = answer.figures;
      text.replaceChildren(
        ...(answer.tokens === null ? markedAt(answer.text.trim(), parting) : tokenList(answer.tokens, parting)),
      );
      if (answer.problem !== null) text.append(element("p", { class: "error" }, answer.problem));
    },
  };
}

/**
 * Asks a model and shows what it says, at most once a frame. Never throws: what went wrong stands in the answer.
 * @param {{ show(answer: Answer, busy: boolean): void }} card
 * @param {string} model
 * @param {readonly Message[]} messages
 * @param {Settings} settings
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>}
 */
export async function askModel(card, model, messages, settings, signal) {
  const start = performance.now();
  /** @type {Answer} */
  const answer = { text: "", figures: "", tokens: settings.probabilities ? [] : null, problem: null };
  let first = 0;
  let isDrawn = true;
  const draw = () => {
    if (isDrawn) return;
    isDrawn = true;
    card.show(answer, true);
  };
  card.show(answer, true);
  const request = {
    model,
    messages,
    temperature: settings.temperature,
    max_tokens: settings.length,
    ...(settings.probabilities ? { logprobs: true, top_logprobs: ALTERNATIVES } : {}),
  };
  try {
    const { tokens, finish } = await streamAnswer(request, signal, (text, found) => {
      first ||= performance.now() - start;
      answer.text += text;
      answer.tokens?.push(...found);
      if (isDrawn) requestAnimationFrame(draw);
      isDrawn = false;
    });
    const seconds = (performance.now() - start) / 1000;
    const sinceFirst = seconds - first / 1000;
    // A short answer may come in one piece, which says nothing of a speed.
    const isTimed = tokens > 1 && sinceFirst >= LEAST_TIMED_SECONDS;
    const rate = isTimed ? `${((tokens - 1) / sinceFirst).toFixed(1)} tokens/s, ` : "";
    const drawn = `${tokens} token${tokens === 1 ? "" : "s"} in ${seconds.toFixed(1)} s`;
    const cut = finish === "length" ? ", cut at the longest answer" : "";
    answer.figures = `${drawn}, ${rate}first after ${(first / 1000).toFixed(2)} s${cut}`;
  } catch (error) {
    if (signal.aborted) answer.figures = "stopped";
    else answer.problem = `No more came: ${error instanceof Error ? error.message : error}`;
  }
  isDrawn = true;
  card.show(answer, false);
  return answer;
}

/** Every token is a button that shows what else might have stood there. @param {any[]} tokens @param {number} parting */
function tokenList(tokens, parting) {
  const table = element("table", { class: "alternatives" });
  const row = (/** @type {"th" | "td"} */ cell, /** @type {string} */ text, /** @type {number} */ logprob) =>
    element("tr", {}, element(cell, {}, text), element(cell, {}, percent(logprob)));
  const place = tokenAt(tokens, parting);
  const all = tokens.map(({ token, logprob, top_logprobs: top }, at) => ({
    text: token,
    kind: `${logprob < UNLIKELY ? "unlikely" : logprob > LIKELY ? "" : "likely"}${at === place ? " parting" : ""}`,
    title: at === place ? `${percent(logprob)}; here the answers part` : percent(logprob),
    onChoose: () => {
      const rows = top.map((/** @type {any} */ one) => row("td", visible(one.token), one.logprob));
      table.replaceChildren(element("tbody", {}, row("th", `${visible(token)} stands here`, logprob), ...rows));
    },
  }));
  return [tokenRow(all, "Tokens"), element("div", { "aria-live": "polite" }, table)];
}

/** The token that has a place of the trimmed text; -1 for none. @param {any[]} tokens @param {number} place */
function tokenAt(tokens, place) {
  if (place < 0) return -1;
  const text = tokens.map(({ token }) => token).join("");
  let left = place + text.length - text.trimStart().length;
  return tokens.findIndex(({ token }) => {
    left -= token.length;
    return left < 0;
  });
}
