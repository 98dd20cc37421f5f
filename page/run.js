/**
 * Where the models of the server's run part: a conversation in the pivot's tokens, coloured by how far a source's stored row, or what a
 * model says now, is from the pivot's, and in each place what all of them say.
 */
import { byId, element, tell } from "./elements.js";
import { describeRun, ofRun } from "./server.js";
import { percent, tokenRow, visible } from "./tokens.js";

/** Bits from which on two models count as parted; each of the steps of colour begins at one of these. */
const PARTED = 0.1;
const STEPS = [0.03, PARTED, 0.25, 0.5];
/** Tokens of each model that the table has. */
const TOKENS = 5;

/** @type {NonNullable<Awaited<ReturnType<typeof describeRun>>> | null} */
let run = null;
/** The conversation that is shown. @type {number | null} */
let shown = null;
/** Places where they part. @type {HTMLElement[]} */
let parted = [];
/** The conversation, and the row, that are asked for: what comes later of older ones is dropped. */
let asking = new AbortController();
let askingRow = new AbortController();
let listing = { words: "", next: /** @type {number | null} */ (0) };

const note = (/** @type {string} */ words) => tell(words, "run-status");

/** Whether the server shows a run. */
export async function prepareRun() {
  run = await describeRun();
  if (run === null) return false;
  const { pivot, sources, models } = run;
  const choices = [
    ...sources.map((name) => element("option", { value: `source ${name}` }, `${name}, as stored`)),
    ...models.map(({ name }) => element("option", { value: `model ${name}` }, `${name}, now`)),
  ];
  byId("run-against").replaceChildren(...choices);
  // Sources mostly read other tokens.
  const isAsked = (/** @type {string} */ name, /** @type {boolean} */ asked, /** @type {boolean} */ loaded) =>
    asked || (loaded && !sources.includes(name));
  const boxes = models.map(({ name, asked, loaded }) =>
    element(
      "label",
      {},
      element("input", { type: "checkbox", value: name, checked: isAsked(name, asked, loaded) }),
      ` ${name}`,
    ),
  );
  byId("run-models").replaceChildren(element("legend", {}, "Ask in a place, now"), ...boxes);
  byId("run-note").textContent =
    `Answers in the tokens of ${pivot}, the pivot. The stronger a token's colour, the further the other model is from it there; choose one to see what each says.`;
  return true;
}

/** The first conversations, when the view is first shown. */
export async function showRun() {
  if (byId("run-conversations").childElementCount === 0) await list("");
}

/** @param {string} words */
async function list(words) {
  listing = { words, next: 0 };
  byId("run-conversations").replaceChildren();
  await listMore();
}

async function listMore() {
  const { words, next } = listing;
  if (next === null) return;
  await told(async () => {
    const found = await ofRun("conversations", { search: words, from: next });
    if (listing.words !== words || listing.next !== next) return;
    listing.next = found.next;
    byId("run-more").hidden = found.next === null;
    byId("run-conversations").append(
      ...found.conversations.map(
        (/** @type {{ conversation: number, question: string }} */ { conversation, question }) => {
          const open = () => void show(conversation);
          const name = `${conversation + 1}: ${question}`;
          return element("li", {}, element("button", { type: "button", onclick: open }, name));
        },
      ),
    );
    const none = byId("run-conversations").childElementCount === 0;
    note(none ? "No conversation of the run has these words." : "");
  });
}

/** What goes wrong is said, unless something newer was asked for. @param {() => Promise<void>} work @param {AbortSignal} [signal] */
async function told(work, signal) {
  try {
    await work();
  } catch (error) {
    if (signal?.aborted !== true) note(error instanceof Error ? error.message : String(error));
  }
}

/** @param {number} conversation */
async function show(conversation) {
  asking.abort();
  askingRow.abort();
  asking = new AbortController();
  const { signal } = asking;
  byId("run-row").hidden = true;
  const [kind, ...name] = byId("run-against").value.split(" ");
  const against = name.join(" ");
  note(kind === "model" ? `Asking ${against}.` : "");
  await told(async () => {
    const found = await ofRun("conversation", { conversation, [kind || "source"]: against || undefined }, signal);
    shown = conversation;
    const turns = found.turns.map((/** @type {{ role: string, content: string }} */ turn, /** @type {number} */ at) =>
      turnElement(turn, found, at, against),
    );
    byId("run-turns").replaceChildren(costs(found.nats_per_byte), ...turns);
    parted = [...byId("run-turns").querySelectorAll(".parted")];
    const places = parted.length === 1 ? "1 place" : `${parted.length} places`;
    if (signal.aborted) return;
    note(against === "" ? "" : `${against} is far from ${run?.pivot} in ${places} of ${found.rows.length}.`);
  }, signal);
}

/** What the conversation costs the pivot and each source. @param {Record<string, number | null>} nats */
function costs(nats) {
  const said = Object.entries(nats).map(
    ([name, value]) => `${name} ${value === null ? "does not have it" : value.toFixed(3)}`,
  );
  return element("p", { class: "figures" }, `Nats a byte: ${said.join(", ")}`);
}

function turnElement(
  /** @type {{ role: string, content: string }} */ turn,
  /** @type {any} */ found,
  /** @type {number} */ at,
  /** @type {string} */ against,
) {
  const rows = found.rows.flatMap((/** @type {any} */ row, /** @type {number} */ index) =>
    row.turn === at ? [{ ...row, index }] : [],
  );
  const heading = element("h2", {}, turn.role);
  const attributes = { class: "answer", "aria-label": `Turn ${at + 1}, ${turn.role}` };
  if (rows.length === 0) return element("article", attributes, heading, element("p", { class: "plain" }, turn.content));
  const tokens = rows.map((/** @type {any} */ { token, divergence, index }) => ({
    text: token,
    kind: kindOf(divergence),
    title: titleOf(divergence, against),
    onChoose: () => void showRow(found.conversation, index, token),
  }));
  return element("article", attributes, heading, tokenRow(tokens, `Tokens of turn ${at + 1}`));
}

/** @param {number | null} bits */
function kindOf(bits) {
  if (bits === null) return "unshared";
  const step = STEPS.filter((least) => bits >= least).length;
  return `apart-${step}${bits >= PARTED ? " parted" : ""}`;
}

/** @param {number | null} bits @param {string} against */
function titleOf(bits, against) {
  if (against === "") return "";
  return bits === null ? `${against} has no token that begins here` : `${bits.toFixed(2)} bits from ${against}`;
}

/** @param {number} conversation @param {number} row @param {string} token */
async function showRow(conversation, row, token) {
  askingRow.abort();
  askingRow = new AbortController();
  const { signal } = askingRow;
  await told(async () => {
    const stored = await ofRun("row", { conversation, row }, signal);
    const { pivot, sources } = stored;
    const columns = [
      { name: `${pivot.name}, stored`, top: pivot.top, logprob: pivot.logprob, problem: "" },
      ...sources.map((/** @type {any} */ { name, top }) => ({
        name: `${name}, stored`,
        top,
        problem: top === null ? "no token begins here" : "",
      })),
    ];
    const asked = [...byId("run-models").querySelectorAll("input:checked")].map(({ value }) => value);
    const draw = (/** @type {any[]} */ now) => {
      if (!signal.aborted)
        byId("run-row").replaceChildren(...rowElements(token, stored.label.id, [...columns, ...now]));
    };
    draw(asked.map((name) => ({ name: `${name}, now`, top: null, problem: "…" })));
    byId("run-row").hidden = false;
    byId("run-turns").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
    const now = await Promise.all(
      asked.map(async (name) => {
        try {
          const { top, logprob } = await ofRun("row", { conversation, row, model: name }, signal);
          return { name: `${name}, now`, top, logprob, problem: "" };
        } catch (error) {
          return { name: `${name}, now`, top: null, problem: error instanceof Error ? error.message : String(error) };
        }
      }),
    );
    if (signal.aborted) return;
    draw(now);
    note(`${visible(token)}: ${[...columns, ...now].map((column) => summary(column, stored.label.id)).join("; ")}.`);
  }, signal);
}

/** What one model gives the token that stands there. */
function summary(/** @type {any} */ column, /** @type {number} */ label) {
  const { name, top, problem } = column;
  return `${name} ${top === null ? problem : (chanceOf(column, label, label) ?? "less than its first ten")}`;
}

/** null where the model has not said it. @param {any} column @param {number} id @param {number} label */
function chanceOf({ top, logprob }, id, label) {
  const own = top?.find((/** @type {any} */ one) => one.id === id)?.logprob ?? (id === label ? logprob : undefined);
  return own === undefined ? null : percent(own);
}

/** A line a token, a column a model. @param {string} token @param {number} label @param {any[]} columns */
function rowElements(token, label, columns) {
  const lines = new Map([[label, token]]);
  for (const { top } of columns) for (const one of (top ?? []).slice(0, TOKENS)) lines.set(one.id, one.token);
  const body = [...lines].map(([id, text]) =>
    element(
      "tr",
      id === label ? { class: "label" } : {},
      element("th", { scope: "row" }, visible(text)),
      ...columns.map((column) => element("td", {}, chanceOf(column, id, label) ?? "")),
    ),
  );
  const problems = columns.filter(({ problem }) => problem !== "" && problem !== "…");
  return [
    element(
      "table",
      { class: "alternatives" },
      element("caption", {}, `${visible(token)} stands here`),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("th", { scope: "col" }, "Token"),
          ...columns.map(({ name }) => element("th", { scope: "col" }, name)),
        ),
      ),
      element("tbody", {}, ...body),
    ),
    ...problems.map(({ name, problem }) => element("p", { class: "figures" }, `${name}: ${problem}`)),
  ];
}

/** The next place after the one that has been chosen last; after the last one the first. */
function next() {
  const chosen = byId("run-turns").querySelector('[aria-current="true"]');
  const after = parted.find(
    (place) => chosen !== null && (chosen.compareDocumentPosition(place) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0,
  );
  const place = after ?? parted[0];
  if (place === undefined) {
    note(shown === null ? "Choose a conversation first." : "They part nowhere in this conversation.");
    return;
  }
  place.focus();
  place.click();
}

// What scrolls must be reached without a mouse.
byId("run-row").tabIndex = 0;
byId("run-search").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  void list(byId("run-words").value);
});
byId("run-more").addEventListener("click", () => void listMore());
byId("run-next").addEventListener("click", next);
byId("run-against").addEventListener("change", () => {
  if (shown !== null) void show(shown);
});
