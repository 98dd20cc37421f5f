/** One question to up to four models, their answers side by side. */
import { answerCard, askModel } from "./answer.js";
import { keep, messagesOf } from "./conversations.js";
import { byId, element, hasFocus, tell } from "./elements.js";
import { partingPlace, wordAt } from "./parting.js";

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
  const held = hasFocus(byId("rounds"));
  byId("rounds").replaceChildren(
    ...rounds.map((round, index) => {
      const parting = partingOf(round);
      const cards = Object.entries(round.answers).map(([model, answer]) => {
        const { card, show } = answerCard(model);
        show(answer, false, parting);
        return card;
      });
      const element = roundElement(round.question, cards, index, again);
      element.append(...partingNote(round, parting));
      return element;
    }),
  );
  // What had the focus is gone.
  if (held) byId("question").focus();
}

/** Where answers part that were drawn greedily and are whole; -1 for nowhere. @param {import("./conversations.js").Round} round */
function partingOf({ answers, greedy }) {
  const all = Object.values(answers);
  const isComparable = greedy === true && all.length > 1 && all.every(({ problem }) => problem === null);
  return isComparable ? partingPlace(all.map(({ text }) => text.trim())) : -1;
}

/** The same in words, for whoever does not see the marks. @param {import("./conversations.js").Round} round @param {number} parting */
function partingNote({ answers, greedy }, parting) {
  const all = Object.entries(answers);
  if (greedy !== true || all.length < 2 || all.some(([, { problem }]) => problem !== null)) return [];
  const said = all.map(([model, { text }]) => {
    const word = wordAt(text.trim(), parting);
    return `${model} ${word === null ? "ends" : `says “${word}”`}`;
  });
  const before = all[0][1].text.trim().slice(0, Math.max(0, parting)).trim().split(/\s+/).slice(-6).join(" ");
  const where = before === "" ? "at once" : `after “${before}”`;
  const words = parting < 0 ? "The answers are the same." : `The answers part ${where}: ${said.join(", ")}.`;
  return [element("p", { class: "figures" }, words)];
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
  const answersByModel = Object.fromEntries(models.map((model, at) => [model, answers[at]]));
  asked.rounds.push({ question, answers: answersByModel, greedy: settings.temperature === 0 });
  keep(asked);
  if (asked === conversation) showConversation(again);
  return answers;
}
