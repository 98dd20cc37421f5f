/** The page: models and settings, the question, and which of its two views is shown. */
import { askBlind, endBattle } from "./arena.js";
import {
  askAll,
  current,
  newConversation,
  openConversation,
  showConversation,
  stopEditing,
  takeBackLast,
} from "./chat.js";
import { jsonLines, readAll, remove } from "./conversations.js";
import { byId, element, tell } from "./elements.js";
import { keepsVotes, modelNames, setToken, TokenWanted } from "./server.js";

const MOST_MODELS = 4;

/** @type {string[]} */
let models = [];
let isArena = false;
/** @type {AbortController | null} */
let asking = null;

async function start() {
  try {
    models = await modelNames();
  } catch (error) {
    if (!(error instanceof TokenWanted)) throw error;
    byId("content").hidden = true;
    byId("token-form").hidden = false;
    byId("token").focus();
    return;
  }
  byId("token-form").hidden = true;
  byId("content").hidden = false;
  const boxes = models.map((name, at) =>
    element(
      "label",
      {},
      element("input", { type: "checkbox", value: name, checked: at < 2, onchange: limitModels }),
      ` ${name}`,
    ),
  );
  byId("models").append(...boxes);
  limitModels();
  byId("show-arena").disabled = models.length < 2;
  showHistory();
  byId("question").focus();
}

/** @returns {HTMLInputElement[]} */
function modelBoxes() {
  return [...byId("models").querySelectorAll("input")];
}

function chosenModels() {
  return modelBoxes()
    .filter(({ checked }) => checked)
    .map(({ value }) => value);
}

function limitModels() {
  const isFull = chosenModels().length >= MOST_MODELS;
  for (const box of modelBoxes()) box.disabled = isFull && !box.checked;
}

function settings() {
  return {
    temperature: Number(byId("temperature").value),
    length: Number(byId("length").value),
    probabilities: byId("probabilities").checked && !isArena,
  };
}

/** @param {string} question */
async function ask(question) {
  if (asking !== null || question.trim() === "") return;
  const chosen = chosenModels();
  if (!isArena && chosen.length === 0) {
    tell("Choose a model first.");
    return;
  }
  const stop = new AbortController();
  asking = stop;
  byId("send").disabled = true;
  byId("stop").disabled = false;
  byId("question").value = "";
  tell(isArena ? "Two models are answering." : `${chosen.join(", ")}: answering.`);
  try {
    const system = byId("system").value;
    if (isArena) await askBlind(question, models, system, settings(), stop.signal);
    else {
      const answers = await askAll(question, chosen, system, settings(), stop.signal, again);
      const isBroken = answers.some(({ problem }) => problem !== null);
      tell(stop.signal.aborted ? "Stopped." : isBroken ? "Not all have answered to the end." : "All have answered.");
      showHistory();
    }
  } finally {
    asking = null;
    byId("send").disabled = false;
    byId("stop").disabled = true;
  }
}

function again() {
  if (asking !== null) return;
  const question = takeBackLast();
  if (question !== null) void ask(question);
}

function showHistory() {
  const items = readAll().map((conversation) => {
    const open = () => {
      openConversation(conversation);
      byId("system").value = conversation.system;
      for (const box of modelBoxes()) box.checked = conversation.models.includes(box.value);
      limitModels();
      void show(false);
    };
    const drop = () => {
      remove(conversation.id);
      if (current().id === conversation.id) newConversation();
      showHistory();
      void show(isArena);
    };
    const title = conversation.rounds[0]?.question ?? "Conversation";
    return element(
      "li",
      {},
      element("button", { type: "button", onclick: open }, title),
      element("button", { type: "button", "aria-label": `Remove: ${title}`, onclick: drop }, "×"),
    );
  });
  byId("conversations").replaceChildren(...items);
}

/** @param {boolean} arena */
async function show(arena) {
  asking?.abort();
  isArena = arena;
  byId("show-chat").setAttribute("aria-pressed", String(!arena));
  byId("show-arena").setAttribute("aria-pressed", String(arena));
  byId("models").hidden = arena;
  byId("history").hidden = arena;
  byId("arena-note").hidden = !arena;
  tell("");
  endBattle();
  if (!arena) showConversation(again);
  else if (!(await keepsVotes())) tell("Votes are not kept: the server was started without --votes FILE.");
}

byId("token-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  setToken(byId("token").value);
  void start();
});
byId("ask").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  void ask(byId("question").value);
});
byId("question").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
  if (event.key === "Escape") stopEditing();
});
byId("stop").addEventListener("click", () => asking?.abort());
byId("new-conversation").addEventListener("click", () => {
  newConversation();
  void show(false);
  byId("question").focus();
});
byId("save").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([jsonLines(readAll())], { type: "application/jsonl" }));
  element("a", { href: url, download: "conversations.jsonl" }).click();
  URL.revokeObjectURL(url);
});
byId("show-chat").addEventListener("click", () => void show(false));
byId("show-arena").addEventListener("click", () => void show(true));

start().catch((error) => {
  byId("content").hidden = false;
  tell(`The server does not answer: ${error instanceof Error ? error.message : error}`);
});
