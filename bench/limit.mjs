/**
 * What targets teach in the end, where the truth is known: the laboratory's worlds have every answer's probability, and
 * so the true distribution over the pivot's tokens at every row. A training without end learns at each place the mean of
 * what its rows are taught there, lambda parts of the label, whose mean is the truth, and 1 - lambda of the target.
 * Printed is KL(truth || that mean) by skill, 0.001 nats per byte: the distance above the floor that no training on these
 * targets goes below. The laboratory's pivot and its five sources together, chosen by groups of the prompts.
 *
 *   node bench/limit.mjs --out FOLDER [--conversations 4000] [--top-k 10] [--lambda 0.1] [--within none,conditional]
 *
 * What lies in the folder is found again. Places that come up in few conversations have the draw of their labels in them.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { alignDistributions } from "../dist/align/align.js";
import { recommendedTransfer } from "../dist/align/recommended.js";
import { conversationId } from "../dist/data/conversation.js";
import { openConversationTokeniser } from "../dist/data/tokenise.js";
import { collectDistributions } from "../dist/distributions/collect.js";
import { createEngine } from "../dist/engine/index.js";
import { fusionFunction } from "../dist/fuse/functions/index.js";
import { groupsOf } from "../dist/fuse/groups/groups.js";
import { recordOf } from "../dist/fuse/groups/record.js";
import { FUSION_DEFAULTS } from "../dist/fuse/options.js";
import { openPair } from "../dist/fuse/pair.js";
import { buildTargetDistributions, targetDistributionWidth } from "../dist/fuse/target-distributions.js";
import { drawAsked, drawConversations } from "../dist/lab/conversations.js";
import { MAX_LENGTH } from "../dist/lab/demo-recipe.js";
import { LAB_MODELS } from "../dist/lab/models/index.js";
import { silent } from "../dist/reporter.js";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    conversations: { type: "string", default: "4000" },
    "top-k": { type: "string", default: "10" },
    lambda: { type: "string", default: "0.1" },
    within: { type: "string", default: "none,conditional" },
    draw: { type: "string", default: "trial" },
  },
});
if (values.out === undefined) throw new Error("--out FOLDER is needed");
const out = resolve(values.out);
const models = resolve(import.meta.dirname, "../lab/models");
const [pivot, ...sources] = LAB_MODELS.map(({ name }) => name);
const lambda = Number(values.lambda);
const topK = Number(values["top-k"]);
const drawn = drawConversations(values.draw, Number(values.conversations));
const conversations = drawn.map(({ skill: _, ...unlabelled }) => unlabelled);
const tokeniser = await openConversationTokeniser(join(models, pivot), { maxLength: MAX_LENGTH });
const engine = await createEngine({ kind: "onnx", threads: 2 });
const context = { engine, reporter: silent };

try {
  const own = await shards(pivot);
  const theirs = [];
  for (const source of sources) theirs.push(await shards(source));
  for (const within of values.within.split(",")) await tell(within, own, await alignedTo(own, theirs, within));
} finally {
  await engine.dispose();
  await tokeniser.dispose?.();
}

async function shards(name) {
  const folder = join(out, "distributions", name);
  const rules = { topK, maxLength: MAX_LENGTH, template: "native" };
  await collectDistributions({ model: join(models, name), conversations, out: folder, ...rules }, context);
  return folder;
}

async function alignedTo(own, theirs, within) {
  const folders = [];
  for (const [n, source] of theirs.entries()) {
    const folder = join(out, `aligned ${within}`, sources[n]);
    const rules = { vocabulary: "split", sequence: "bytes", ...recommendedTransfer("split"), within };
    await alignDistributions({ pivot: own, source, out: folder, ...rules }, context);
    folders.push(folder);
  }
  return folders;
}

async function tell(within, own, aligned) {
  const places = new Map();
  const bytes = new Map();
  for await (const { asked, tokens, target, rows, width, byteCount } of lessons(own, aligned)) {
    const { skill } = asked;
    bytes.set(skill.name, (bytes.get(skill.name) ?? 0) + byteCount);
    for (let r = 0; r < rows; r++) {
      const { key, truth } = await placeOf(asked, tokens, r);
      const place = places.get(key) ?? { skill: skill.name, truth, rows: 0, taught: new Map() };
      places.set(key, place);
      place.rows++;
      for (let k = r * width; k < (r + 1) * width; k++) add(place.taught, target.id[k], target.probability[k]);
    }
  }
  const sums = new Map([...bytes.keys()].map((skill) => [skill, 0]));
  for (const { skill, truth, rows, taught } of places.values()) {
    const all = total(truth);
    const mass = total(taught);
    for (const [id, weight] of truth) {
      const p = weight / all;
      const learned = lambda * p + (1 - lambda) * Math.max(1e-6, (taught.get(id) ?? 0) / mass);
      sums.set(skill, sums.get(skill) + rows * p * Math.log(p / learned));
    }
  }
  const bySkill = [...sums].sort().map(([skill, sum]) => `${skill} ${((1000 * sum) / bytes.get(skill)).toFixed(2)}`);
  const whole = (1000 * total(sums)) / total(bytes);
  console.log(`within ${within}: all ${whole.toFixed(2)}, ${bySkill.join(", ")}`);
}

/** Conversation by conversation the pivot's tokens and what they are taught. */
async function* lessons(own, aligned) {
  const pair = await openPair({ pivot: own, aligned, level: "group" });
  const record = recordOf(groupsOf(conversations), await pair.nats());
  const function_ = fusionFunction(FUSION_DEFAULTS.function);
  const width = targetDistributionWidth(pair, { function: function_, tail: "renormalise" });
  const hasToken = new Uint8Array(pair.metadata.vocabulary).fill(1);
  const rules = { ...FUSION_DEFAULTS, function: function_, level: "group", record, hasToken, width };
  for await (const shard of pair.shards()) {
    const tokenised = await tokeniser.tokenise(
      shard.map(({ conversation }) => conversations[conversation]),
      shard[0].conversation,
    );
    for (const [place, one] of shard.entries()) {
      const asked = drawAsked(`${values.draw}/${one.conversation}`);
      const { rows } = one.pivot;
      const byteCount = one.pivot.shard.bytes[place];
      yield { asked, tokens: tokenised[place], target: buildTargetDistributions(one, rules), rows, width, byteCount };
    }
  }
}

/** What tells a row's place from all others, and the true weights of the tokens there. */
async function placeOf({ asked }, { ids, rows: { position, turn } }, row) {
  const turns = [...new Set(turn)];
  const number = turns.indexOf(turn[row]);
  const said = asked.slice(0, number).map(({ question, answer }) => [question.user, answer]);
  const { question } = asked[number];
  let first = row;
  while (first > 0 && turn[first - 1] === turn[row]) first--;
  const written = Array.from(position.subarray(first, row), (at) => ids[at]).join();
  const key = JSON.stringify([said, question.user]);
  return { key: `${key} ${written}`, truth: (await answersOf(key, said, question)).get(written) };
}

/** The weights of the tokens behind each beginning of an answer to a question. */
async function answersOf(key, said, question) {
  answersOf.known ??= new Map();
  if (answersOf.known.has(key)) return answersOf.known.get(key);
  const before = said.flatMap(([user, answer]) => [
    { role: "user", content: user },
    { role: "assistant", content: answer },
  ]);
  const answers = [...question.answers];
  const texts = answers.map(([answer]) => {
    const turns = [...before, { role: "user", content: question.user }, { role: "assistant", content: answer }];
    return { id: conversationId(turns), turns };
  });
  const behind = new Map();
  for (const [n, { ids, rows }] of (await tokeniser.tokenise(texts, 0)).entries()) {
    let written = "";
    for (const [row, at] of rows.position.entries()) {
      if (rows.turn[row] !== rows.turn.at(-1)) continue;
      if (!behind.has(written)) behind.set(written, new Map());
      add(behind.get(written), ids[at], answers[n][1]);
      written = written === "" ? `${ids[at]}` : `${written},${ids[at]}`;
    }
  }
  answersOf.known.set(key, behind);
  return behind;
}

function add(sums, key, value) {
  if (value > 0) sums.set(key, (sums.get(key) ?? 0) + value);
}

function total(sums) {
  return [...sums.values()].reduce((sum, value) => sum + value, 0);
}
