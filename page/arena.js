/** Two models without their names answer the same questions; who votes learns who they were. */
import { answerCard, askModel } from "./answer.js";
import { byId, element, tell } from "./elements.js";
import { sendVote } from "./server.js";

/** @typedef {import("./answer.js").Message} Message */

const SIDES = ["A", "B"];
const VOTES = [
  ["leftvote", "A is better"],
  ["rightvote", "B is better"],
  ["tievote", "Tie"],
  ["bothbad_vote", "Both are bad"],
];

/** @type {{ models: string[], messages: Message[][], cards: any[], isOver: boolean } | null} */
let battle = null;

export function endBattle() {
  battle = null;
  byId("rounds").replaceChildren();
}

/** Two of the models, in random order. @param {readonly string[]} models */
function draw(models) {
  const left = Math.floor(Math.random() * models.length);
  const others = models.filter((_, at) => at !== left);
  return [models[left], others[Math.floor(Math.random() * others.length)]];
}

/**
 * @param {string} question
 * @param {readonly string[]} models
 * @param {string} system
 * @param {import("./answer.js").Settings} settings
 * @param {AbortSignal} signal
 */
export async function askBlind(question, models, system, settings, signal) {
  if (battle === null || battle.isOver) {
    endBattle();
    const turn = system.trim() === "" ? [] : [{ role: "system", content: system.trim() }];
    battle = { models: draw(models), messages: [[...turn], [...turn]], cards: [], isOver: false };
  }
  const own = battle;
  for (const votes of document.querySelectorAll(".votes")) votes.remove();
  const cards = SIDES.map((side) => answerCard(side));
  own.cards.push(cards);
  const votes = element("div", { class: "row votes", role: "group", "aria-label": "Your vote" });
  const round = element(
    "section",
    { class: "round", "aria-label": "Question" },
    element("h2", { class: "question" }, question),
    element("div", { class: "answers" }, ...cards.map(({ card }) => card)),
    votes,
  );
  byId("rounds").append(round);
  const answers = await Promise.all(
    own.models.map((model, side) => {
      own.messages[side].push({ role: "user", content: question });
      // Speeds would give the names away.
      const show = (/** @type {any} */ answer, /** @type {boolean} */ busy) =>
        cards[side].show({ ...answer, figures: "" }, busy);
      return askModel({ show }, model, own.messages[side], settings, signal);
    }),
  );
  answers.forEach(({ text }, side) => {
    own.messages[side].push({ role: "assistant", content: text.trim() });
  });
  if (own !== battle) return;
  if (answers.some(({ problem }) => problem !== null)) {
    battle.isOver = true;
    tell("One of the two did not answer; ask again for another pair.");
    return;
  }
  votes.append(
    ...VOTES.map(([type, words]) =>
      element("button", { type: "button", onclick: () => decide(own, type, words, votes) }, words),
    ),
  );
  tell("Both have answered: vote, or ask more first.");
}

async function decide(
  /** @type {NonNullable<typeof battle>} */ own,
  /** @type {string} */ type,
  /** @type {string} */ words,
  /** @type {HTMLElement} */ votes,
) {
  if (own.isOver) return;
  own.isOver = true;
  const names = element("p", { tabindex: -1 }, `${words}. A was ${own.models[0]}, B was ${own.models[1]}.`);
  votes.replaceChildren(names);
  // The button that had the focus is gone.
  names.focus();
  for (const cards of own.cards)
    for (const [side, card] of cards.entries()) card.rename(`${SIDES[side]}: ${own.models[side]}`);
  try {
    await sendVote({ type, models: own.models, conversations: own.messages });
    tell("The vote is kept. The next question goes to another pair.");
  } catch (error) {
    tell(`The vote is not kept: ${error instanceof Error ? error.message : error}`);
  }
}
