/**
 * What each step beyond the demonstration's training gains, where the truth is known: other rates, batches and numbers of
 * epochs, steps by what the sources know beyond the pivot, training in rounds (the fused model as the next pivot), a mean
 * of models of different data. The laboratory's pivot and its five sources together, chosen by groups of the prompts.
 * Printed is the distance above the floor of the given models and of these, 0.001 nats per byte.
 *
 *   node bench/steps.mjs --out FOLDER [--conversations 2400] [--held-out 1600] [--only NAME;...] [--threads 2] [--within none] [--draw trial]
 *                        [--judged-on validation]
 *
 * What lies in the folder is found again. One training seed: intervals are over conversations.
 */
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { alignDistributions } from "../dist/align/align.js";
import { recommendedTransfer } from "../dist/align/recommended.js";
import { collectDistributions } from "../dist/distributions/collect.js";
import { createEngine } from "../dist/engine/index.js";
import { evaluateHeldOut } from "../dist/evaluate/benchmarks/held-out.js";
import { fuseTarget } from "../dist/fuse/fuse.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "../dist/fuse/options.js";
import { drawConversations } from "../dist/lab/conversations.js";
import { BATCH, DEMO_SETTINGS, MAX_LENGTH } from "../dist/lab/demo-recipe.js";
import { LAB_MODELS } from "../dist/lab/models/index.js";
import { mergeModels } from "../dist/merge/merge.js";
import { silent } from "../dist/reporter.js";

/** What differs from the demonstration's training on the first part of the data. */
const ARMS = {
  demonstration: {},
  "rate 1e-3": { lr: 1e-3 },
  "rate 2e-3": { lr: 2e-3 },
  "rate 1e-3, lambda 0": { lr: 1e-3, lambda: 0 },
  "rate 1e-3, batch 8": { lr: 1e-3, batch: 8 },
  "rate 1e-3, 6 epochs": { lr: 1e-3, epochs: 6 },
  "rate 1e-3, gain": { lr: 1e-3, emphasis: "gain" },
  "rate 1e-3, gain, 6 epochs, batch 16": { lr: 1e-3, emphasis: "gain", epochs: 6, batch: 16 },
  "rate 1e-3, gain, 8 epochs": { lr: 1e-3, emphasis: "gain", epochs: 8 },
  "rate 1e-3, gain, 8 epochs, batch 16": { lr: 1e-3, emphasis: "gain", epochs: 8, batch: 16 },
  "rate 7e-4, gain, 8 epochs, batch 8": { lr: 7e-4, emphasis: "gain", epochs: 8, batch: 8 },
  "rate 1e-3, gain, 4 epochs, batch 16": { lr: 1e-3, emphasis: "gain", epochs: 4, batch: 16 },
  "rate 1e-3, gain, 2 epochs, batch 16": { lr: 1e-3, emphasis: "gain", epochs: 2, batch: 16 },
  "three quarters even, 4 epochs": { lr: 1e-3, emphasis: "gain", evenShare: 0.75, epochs: 4, batch: 16 },
  "three quarters even, 2 epochs": { lr: 1e-3, emphasis: "gain", evenShare: 0.75, epochs: 2, batch: 16 },
  "three quarters even, 3 epochs": { lr: 1e-3, emphasis: "gain", evenShare: 0.75, epochs: 3, batch: 16 },
  "three quarters even, 3 epochs, lambda 0.5": {
    ...{ lr: 1e-3, lambda: 0.5, emphasis: "gain", evenShare: 0.75, epochs: 3, batch: 16 },
  },
  "twice the conversations": { part: "both" },
  "two rounds, the second on others": { from: "demonstration", part: "second" },
  "two rounds on the same": { from: "demonstration" },
  "the second part alone": { part: "second" },
  "mean of both parts' models": { mean: ["demonstration", "the second part alone"] },
};

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    conversations: { type: "string", default: "2400" },
    "held-out": { type: "string", default: "1600" },
    only: { type: "string" },
    threads: { type: "string", default: "2" },
    within: { type: "string", default: "conditional" },
    draw: { type: "string", default: "trial" },
    "judged-on": { type: "string", default: "validation" },
  },
});
if (values.out === undefined) throw new Error("--out FOLDER is needed");
const out = resolve(values.out);
const models = resolve(import.meta.dirname, "../lab/models");
const [pivot, ...sources] = LAB_MODELS.map(({ name }) => join(models, name));
const count = Number(values.conversations);
const drawn = drawConversations(values.draw, 2 * count).map(({ skill: _, ...unlabelled }) => unlabelled);
const DATA = { first: drawn.slice(0, count), second: drawn.slice(count), both: drawn };
const judged = drawConversations(values["judged-on"], Number(values["held-out"]));
const engine = await createEngine({ kind: "onnx", threads: Number(values.threads) });
const context = { engine, reporter: silent };

try {
  for (const model of [pivot, ...sources]) await tell(basename(model), model);
  for (const name of values.only?.split(";") ?? Object.keys(ARMS)) await tell(name, await made(name));
} finally {
  await engine.dispose();
}

/** The folder of an arm's model. */
async function made(name) {
  const { mean, from, part = "first", ...settings } = ARMS[name];
  const target = join(out, "models", name);
  if (mean !== undefined) {
    const folders = [];
    for (const of of mean) folders.push(await made(of));
    return meanOf(folders, target);
  }
  const first = from === undefined ? pivot : await made(from);
  const conversations = DATA[part];
  // The pivot of a second round has its tokenizer, so that the sources' own distributions serve again.
  const round = `${from ?? "pivot"} on ${part}`;
  const own = await shards(first, conversations, join(out, "distributions", round));
  const aligned = [];
  for (const [n, source] of sources.entries()) {
    const its = await shards(source, conversations, join(out, "distributions", part, String(n)));
    const folder = join(out, "aligned", round, String(n));
    const rules = { vocabulary: "split", sequence: "bytes", ...recommendedTransfer("split"), within: values.within };
    await alignDistributions({ pivot: own, source: its, out: folder, ...rules }, context);
    aligned.push(folder);
  }
  const training = { ...FUSION_DEFAULTS, ...TRAINING_DEFAULTS, ...DEMO_SETTINGS, batch: BATCH, ...settings };
  await fuseTarget({ ...training, model: first, conversations, pivot: own, aligned, out: target }, context);
  return target;
}

async function shards(model, conversations, folder) {
  const rules = { topK: 10, maxLength: MAX_LENGTH, template: "native" };
  await collectDistributions({ model, conversations, out: folder, ...rules }, context);
  return folder;
}

async function meanOf(folders, merged) {
  const config = { merge_method: "linear", models: folders.map((model) => ({ model })), parameters: { weight: 1 } };
  await mergeModels({ ...config, dtype: "float32" }, { out: merged, baseFolder: out }, context);
  return merged;
}

async function tell(name, model) {
  const { metrics } = await evaluateHeldOut({ model, conversations: judged, maxLength: MAX_LENGTH, name }, context);
  const { value, low, high } = metrics.above_floor;
  const skills = Object.entries(metrics).filter(([metric]) => metric.startsWith("above_floor/"));
  const bySkill = skills.map(([metric, figure]) => `${metric.slice(12)} ${thousandths(figure.value)}`);
  console.log(`${name}: ${thousandths(value)} [${thousandths(low)}, ${thousandths(high)}], ${bySkill.join(" ")}`);
}

function thousandths(nats) {
  return (1000 * nats).toFixed(1);
}
