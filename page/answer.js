/** One answer on the page: its text as it comes, how fast it came, and on wish the probability of every token. */
import { element } from "./elements.js";
import { markdown } from "./markdown.js";
import { streamAnswer } from "./server.js";

/** @typedef {{ role: string, content: string }} Message */
/** @typedef {{ temperature: number, length: number, probabilities: boolean }} Settings */
/** @typedef {{ text: string, figures: string, tokens: any[] | null, problem: string | null }} Answer */

const UNLIKELY = Math.log(0.1);
const LIKELY = Math.log(0.5);
const ALTERNATIVES = 5;

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
    /** @param {Answer} answer @param {boolean} busy */
    show: (answer, busy) => {
      card.setAttribute("aria-busy", String(busy));
      figures.textContent = answer.figures;
      text.replaceChildren(...(answer.tokens === null ? markdown(answer.text.trim()) : tokenList(answer.tokens)));
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
    const rate = tokens > 1 ? `${((tokens - 1) / (seconds - first / 1000)).toFixed(1)} tokens/s, ` : "";
    const cut = finish === "length" ? ", cut at the longest answer" : "";
    answer.figures = `${tokens} tokens in ${seconds.toFixed(1)} s, ${rate}first after ${(first / 1000).toFixed(2)} s${cut}`;
  } catch (error) {
    if (signal.aborted) answer.figures = "stopped";
    else answer.problem = `No more came: ${error instanceof Error ? error.message : error}`;
  }
  isDrawn = true;
  card.show(answer, false);
  return answer;
}

/** Every token is a button that shows what else might have stood there. @param {any[]} tokens */
function tokenList(tokens) {
  const table = element("table", { class: "alternatives" });
  const percent = (/** @type {number} */ logprob) => `${(100 * Math.exp(logprob)).toFixed(1)} %`;
  const visible = (/** @type {string} */ text) => text.replaceAll("\n", "⏎").replaceAll(" ", "·");
  const all = tokens.map(({ token, logprob, top_logprobs: top }) =>
    element(
      "button",
      {
        type: "button",
        class: `token ${logprob < UNLIKELY ? "unlikely" : logprob > LIKELY ? "" : "likely"}`,
        title: percent(logprob),
        onclick: () => {
          const rows = top.map((/** @type {any} */ one) =>
            element("tr", {}, element("td", {}, visible(one.token)), element("td", {}, percent(one.logprob))),
          );
          const head = element(
            "tr",
            {},
            element("th", {}, `${visible(token)} stands here`),
            element("th", {}, percent(logprob)),
          );
          table.replaceChildren(element("tbody", {}, head, ...rows));
        },
      },
      token,
    ),
  );
  return [element("div", {}, ...all), table];
}
