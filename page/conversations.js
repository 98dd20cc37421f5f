/** Conversations, which stay in this browser, and their form as JSON Lines that fusechat reads. */
import { tell } from "./elements.js";

/** @typedef {import("./answer.js").Answer} Answer */
/** @typedef {{ question: string, answers: Record<string, Answer>, greedy?: boolean }} Round Greedy: drawn at temperature 0. */
/** @typedef {{ id: string, models: string[], system: string, rounds: Round[] }} Conversation */

const KEY = "fusechat conversations";

/** @returns {Conversation[]} */
export function readAll() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

/** @param {Conversation[]} all */
function writeAll(all) {
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    tell("This browser keeps no more conversations; save them, and remove some.");
  }
}

/** Keeps a conversation, the newest first. @param {Conversation} conversation */
export function keep(conversation) {
  writeAll([conversation, ...readAll().filter(({ id }) => id !== conversation.id)]);
}

/** @param {string} id */
export function remove(id) {
  writeAll(readAll().filter((one) => one.id !== id));
}

/** What a model has been told and has said before a round. @param {Conversation} conversation @param {string} model @param {number} before */
export function messagesOf({ system, rounds }, model, before) {
  const said = rounds.slice(0, before).flatMap(({ question, answers }) => {
    const answer = answers[model]?.text.trim();
    return answer
      ? [
          { role: "user", content: question },
          { role: "assistant", content: answer },
        ]
      : [];
  });
  return [...(system.trim() === "" ? [] : [{ role: "system", content: system.trim() }]), ...said];
}

/** A line a conversation and model. @param {Conversation[]} all */
export function jsonLines(all) {
  const lines = all.flatMap((conversation) =>
    conversation.models.map((model) => ({
      model,
      messages: messagesOf(conversation, model, conversation.rounds.length),
    })),
  );
  return lines
    .filter(({ messages }) => messages.some(({ role }) => role === "assistant"))
    .map((line) => `${JSON.stringify(line)}\n`)
    .join("");
}
