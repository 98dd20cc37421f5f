/** One question to up to four models, their answers side by side. */
import { answerCard, askModel } from "./answer.js";
import { keep, messagesOf } from "./conversations.js";
import { byId, element, tell } from "./elements.js";

/** @typedef {import("./conversations.js").Conversation} Conversation */
/** @typedef {import("./answer.js").Settings} Settings */

/** @type {Conversation} */
let conversation = begin();
/** The round whose question is being changed. @type {number | null} */
let editing = null;

/** @returns {Conversation} */
function begin() {
  return { id: `${Date.now()}-${Math.random().toString(36).slice(2)}`, models: [], system: "", rounds: [] };
}

export function newConversation() {
  conversation = begin();
  editing = null;
}

/** @param {Conversation} found */
export function openConversation(found) {
  conversation = found;
  editing = null;
}

export function current() {
  return conversation;
}

/** Everything that was said. @param {() => void} again asks the last question again. */
export function showConversation(again) {
  const { rounds } = conversation;
  byId("rounds").replaceChildren(
    ...rounds.map((round, index) => {
      const cards = Object.entries(round.answers).map(([model, answer]) => {
        const { card, show } = answerCard(model);
        show(answer, false);
        return card;
      });
      return roundElement(round.question, cards, index, again);
    }),
  );
}

function roundElement(
  /** @type {string} */ question,
  /** @type {Node[]} */ cards,
  /** @type {number} */ index,
  /** @type {() => void} */ again,
) {
  const edit = () => {
    editing = index;
    byId("question").value = question;
    byId("question").focus();
    tell("Change the question and send it; what came after it is dropped. Escape leaves it as it was.");
  };
  const isLast = index >= conversation.rounds.length - 1;
  const buttons = [element("button", { type: "button", onclick: edit }, "Edit")];
  if (isLast) buttons.push(element("button", { type: "button", onclick: again }, "Again"));
  return element(
    "section",
    { class: "round", "aria-label": `Question ${index + 1}` },
    element("h2", { class: "question" }, question),
    element("div", { class: "row" }, ...buttons),
    element("div", { class: "answers" }, ...cards),
  );
}

/** The last question is asked once more. @returns {string | null} */
export function takeBackLast() {
  const last = conversation.rounds.at(-1);
  if (last === undefined) return null;
  conversation.rounds = conversation.rounds.slice(0, -1);
  return last.question;
}

export function stopEditing() {
  if (editing === null) return;
  editing = null;
  byId("question").value = "";
  tell("");
}

/**
 * @param {string} question
 * @param {readonly string[]} models
 * @param {string} system
 * @param {Settings} settings
 * @param {AbortSignal} signal
 * @param {() => void} again
 */
export async function askAll(question, models, system, settings, signal, again) {
  if (editing !== null) conversation.rounds = conversation.rounds.slice(0, editing);
  editing = null;
  conversation.models = [...new Set([...conversation.models, ...models])];
  conversation.system = system;
  showConversation(again);
  const index = conversation.rounds.length;
  const cards = models.map((model) => answerCard(model));
  byId("rounds").append(
    roundElement(
      question,
      cards.map(({ card }) => card),
      index,
      again,
    ),
  );
  const asked = conversation;
  const answers = await Promise.all(
    models.map((model, at) => {
      const messages = [...messagesOf(asked, model, index), { role: "user", content: question }];
      return askModel(cards[at], model, messages, settings, signal);
    }),
  );
  asked.rounds.push({ question, answers: Object.fromEntries(models.map((model, at) => [model, answers[at]])) });
  keep(asked);
  if (asked === conversation) showConversation(again);
  return answers;
}
