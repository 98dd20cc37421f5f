/** The page: models and settings, the question, and which of its views is shown. */
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
import { byId, element, hasFocus, tell } from "./elements.js";
import { prepareRun, showRun } from "./run.js";
import { keepsVotes, modelNames, setToken, TokenWanted } from "./server.js";

const MOST_MODELS = 4;

/** @type {string[]} */
let models = [];
/** @typedef {"chat" | "arena" | "run"} View */
/** @type {View} */
let view = "chat";
const VIEWS = /** @type {const} */ (["chat", "arena", "run"]);
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
  byId("models").replaceChildren(element("legend", {}, "Up to four models, side by side"), ...boxes);
  limitModels();
  byId("show-arena").disabled = models.length < 2;
  byId("show-run").hidden = !(await prepareRun());
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
    probabilities: byId("probabilities").checked && view !== "arena",
  };
}

/** @param {string} question */
async function ask(question) {
  if (asking !== null || question.trim() === "") return;
  const chosen = chosenModels();
  const isArena = view === "arena";
  if (!isArena && chosen.length === 0) {
    tell("Choose a model first.");
    return;
  }
  const stop = new AbortController();
  asking = stop;
  // A button that cannot be pressed keeps no focus.
  if (hasFocus(byId("send"))) byId("question").focus();
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
    if (hasFocus(byId("stop"))) byId("question").focus();
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
      void show("chat");
    };
    const drop = () => {
      remove(conversation.id);
      if (current().id === conversation.id) newConversation();
      showHistory();
      void show(view);
      byId("new-conversation").focus();
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

/** @param {View} wanted */
async function show(wanted) {
  asking?.abort();
  view = wanted;
  for (const one of VIEWS) byId(`show-${one}`).setAttribute("aria-pressed", String(one === view));
  byId("models").hidden = view !== "chat";
  byId("history").hidden = view !== "chat";
  byId("arena-note").hidden = view !== "arena";
  byId("talk").hidden = view === "run";
  byId("run-list").hidden = view !== "run";
  byId("run-view").hidden = view !== "run";
  tell("");
  endBattle();
  if (view === "run") await showRun();
  else if (view === "chat") showConversation(again);
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
  void show("chat");
  byId("question").focus();
});
byId("save").addEventListener("click", () => {
  const url = URL.createObjectURL(new Blob([jsonLines(readAll())], { type: "application/jsonl" }));
  element("a", { href: url, download: "conversations.jsonl" }).click();
  URL.revokeObjectURL(url);
});
for (const one of VIEWS) byId(`show-${one}`).addEventListener("click", () => void show(one));

start().catch((error) => {
  byId("content").hidden = false;
  tell(`The server does not answer: ${error instanceof Error ? error.message : error}`);
});
