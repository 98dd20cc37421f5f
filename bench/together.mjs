/**
 * One target of all sources in the laboratory. First what each level chooses: in how many conversations the model that is
 * best on the skill, and what the others cost, nats per byte. Then fusion functions, levels and tails, each as distance above
 * the floor on the held-out draw and, conversation by conversation, against the first of them. Pivot, sources and settings are the
 * demonstration's. What is there already below `--out` is kept, so a run goes on where it stopped; a target takes half a minute
 * on two idle cores at 2,400 conversations.
 *
 *   node bench/together.mjs --out DIR [--conversations 2400] [--rows top] [--top-k 10] [--only conversation,prompts] [--seed 0]
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { alignDistributions } from "../dist/align/align.js";
import { recommendedTransfer } from "../dist/align/recommended.js";
import { readAlignedNats } from "../dist/align/shard-file.js";
import { collectDistributions } from "../dist/distributions/collect.js";
import { listShards } from "../dist/distributions/folder.js";
import { createEngine } from "../dist/engine/index.js";
import { evaluateHeldOut, heldOut } from "../dist/evaluate/benchmarks/held-out.js";
import { fuseTarget } from "../dist/fuse/fuse.js";
import { groupsByLabel, groupsByPrompt } from "../dist/fuse/groups/groups.js";
import { recordOf } from "../dist/fuse/groups/record.js";
import { FUSION_DEFAULTS, TRAINING_DEFAULTS } from "../dist/fuse/options.js";
import { drawConversations } from "../dist/lab/conversations.js";
import { BATCH, DEMO_SETTINGS, HELD_OUT_CONVERSATIONS, MAX_LENGTH } from "../dist/lab/demo-recipe.js";
import { DEMO_MODELS, LAB_THREADS } from "../dist/lab/models/index.js";
import { silent } from "../dist/reporter.js";

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    conversations: { type: "string", default: "2400" },
    rows: { type: "string", default: "top" },
    "top-k": { type: "string", default: "10" },
    only: { type: "string" },
    seed: { type: "string", default: "0" },
  },
});
const models = new URL("../lab/models/", import.meta.url).pathname;
const [pivot] = DEMO_MODELS.filter(({ role }) => role === "pivot").map(({ name }) => name);
const sources = DEMO_MODELS.filter(({ role }) => role === "source").map(({ name }) => name);
const topK = Number(values["top-k"]);
const out = join(resolve(values.out), `${values.conversations}-${values.rows}-${topK}`);
const labelled = drawConversations("fusion", Number(values.conversations));
const unlabelled = labelled.map(({ skill: _, ...conversation }) => conversation);
const judged = drawConversations("held-out", HELD_OUT_CONVERSATIONS);

/** What differs from `min-ce` by conversation over both sources. */
const VARIANTS = {
  conversation: { level: "conversation" },
  skill: { level: "group" },
  prompts: { level: "group", conversations: unlabelled },
  row: { level: "row" },
  "avg-ce": { function: "avg-ce", level: "conversation" },
  "avg-ce-skill": { function: "avg-ce", level: "group" },
  source: { function: "source", level: "conversation" },
  "source-prompts": { function: "source", level: "group", conversations: unlabelled },
  "skill-drop": { level: "group", tail: "drop" },
  "skill-bucket": { level: "group", tail: "bucket" },
  "skill-pivot": { level: "group", tail: "pivot" },
  ...Object.fromEntries(
    sources.flatMap((name, index) => ["conversation", "group"].map((level) => pair(name, index, level))),
  ),
};

function pair(name, index, level) {
  const key = `${name}-alone${level === "group" ? "-prompts" : ""}`;
  return [key, { level, only: index, ...(level === "group" ? { conversations: unlabelled } : {}) }];
}

const engine = await createEngine({ kind: "onnx", threads: LAB_THREADS });
const context = { engine, reporter: silent };
try {
  await collectAndAlign();
  await tellChoices();
  const names = values.only?.split(",") ?? Object.keys(VARIANTS);
  let first;
  for (const name of names) {
    const result = await measure(name);
    first ??= result;
    const skills = Object.entries(result.metrics).filter(([metric]) => metric.startsWith("above_floor/"));
    const parts = [
      name.padEnd(32),
      `${thousandths(result.metrics.above_floor.value)} ± ${halfWidth(result.metrics.above_floor)}`,
      ...skills.map(([metric, { value }]) => `${metric.slice(12)} ${thousandths(value)}`),
    ];
    const against = result === first ? null : heldOut.compare(result, first).metrics.nats_per_byte;
    if (against !== null) {
      const { value, low, high, p } = against;
      parts.push(
        `minus ${names[0]} ${thousandths(value)} [${thousandths(low)}, ${thousandths(high)}], p ${p.toFixed(4)}`,
      );
    }
    console.log(parts.join("  "));
  }
} finally {
  await engine.dispose();
}

async function tellChoices() {
  const nats = [];
  for (const source of sources) nats.push(await readAlignedNats(await listShards(join(out, "aligned", source))));
  const [{ pivotNats, pivotBytes }] = nats;
  const costs = labelled.map((_, n) => [
    pivotNats[n] / pivotBytes[n],
    ...nats.map(({ sourceNats, sourceBytes }) => sourceNats[n] / sourceBytes[n]),
  ]);
  /** Of each skill the nats of every model, and the bytes. */
  const skills = new Map();
  for (const [n, { skill }] of labelled.entries()) {
    const totals = skills.get(skill) ?? { nats: costs[n].map(() => 0), bytes: 0 };
    costs[n].forEach((cost, model) => {
      totals.nats[model] += cost * pivotBytes[n];
    });
    totals.bytes += pivotBytes[n];
    skills.set(skill, totals);
  }
  const least = (list) => list.indexOf(Math.min(...list));
  const levels = { conversation: (n) => costs[n] };
  for (const [name, groups] of Object.entries({
    skill: groupsByLabel(labelled),
    prompts: groupsByPrompt(unlabelled),
  })) {
    const record = recordOf(groups, nats);
    levels[`${name} (${groups.parent.length} groups)`] = (n) => record.nats(n);
  }
  for (const [name, costsOf] of Object.entries(levels)) {
    let [right, lost, bytes] = [0, 0, 0];
    for (const [n, { skill }] of labelled.entries()) {
      const totals = skills.get(skill);
      const [chosen, best] = [least(costsOf(n)), least(totals.nats)];
      if (chosen === best) right++;
      lost += ((totals.nats[chosen] - totals.nats[best]) / totals.bytes) * pivotBytes[n];
      bytes += pivotBytes[n];
    }
    const share = ((100 * right) / labelled.length).toFixed(1);
    console.log(`chosen by ${name}: the skill's best in ${share} %, others cost ${(lost / bytes).toFixed(5)}`);
  }
}

/** 0.001 nats per byte. */
function thousandths(value) {
  return (1000 * value).toFixed(1);
}

function halfWidth({ low, high }) {
  return thousandths((high - low) / 2);
}

async function collectAndAlign() {
  for (const name of [pivot, ...sources]) {
    const folder = join(out, "distributions", name);
    if (existsSync(join(folder, "manifest.json"))) continue;
    await collectDistributions(
      {
        model: join(models, name),
        conversations: labelled,
        out: folder,
        topK,
        rows: values.rows,
        maxLength: MAX_LENGTH,
        template: "native",
      },
      context,
    );
  }
  for (const source of sources) {
    const folder = join(out, "aligned", source);
    if (existsSync(join(folder, "alignment.json"))) continue;
    // The tables of docs/laboratory.md are without what rows within tokens are told.
    const { labelMass, divide } = recommendedTransfer("split");
    await alignDistributions(
      {
        pivot: join(out, "distributions", pivot),
        source: join(out, "distributions", source),
        out: folder,
        vocabulary: "split",
        sequence: "bytes",
        width: 2 * topK,
        labelMass,
        divide,
      },
      context,
    );
  }
}

async function measure(name) {
  const { only, ...changes } = VARIANTS[name];
  const chosen = only === undefined ? sources : [sources[only]];
  const folder = join(out, "targets", `${name}-${values.seed}`);
  await fuseTarget(
    {
      ...FUSION_DEFAULTS,
      ...TRAINING_DEFAULTS,
      ...DEMO_SETTINGS,
      batch: BATCH,
      seed: Number(values.seed),
      model: join(models, pivot),
      conversations: labelled,
      pivot: join(out, "distributions", pivot),
      aligned: chosen.map((source) => join(out, "aligned", source)),
      source: chosen.map((source) => join(out, "distributions", source)),
      out: folder,
      ...changes,
    },
    context,
  );
  return evaluateHeldOut({ model: folder, conversations: judged, maxLength: MAX_LENGTH, name }, context);
}
