/**
 * What a stored row costs the gradient: bias and spread of the fusion term's gradient with respect to the logits, at the
 * pivot, against that of the whole distribution, on the laboratory's models, whose softmaxes are small enough to be stored
 * whole. Sources are aligned as the demonstration aligns them, rows of K pairs give aligned rows of 2 K.
 *
 *   node bench/target-rows.mjs [--source lab-llama] [--conversations 200] [--draws 12] [--k 5,10,32]
 *
 * Relative to the norm of the whole gradient, over all rows that the source shares: `bias`, the mean of the error; `spread`,
 * its standard deviation, which training averages away; and the bias of the gradient summed over all rows, which it
 * does not.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { alignDistributions } from "../dist/align/align.js";
import { recommendedTransfer } from "../dist/align/recommended.js";
import { collectDistributions } from "../dist/distributions/collect.js";
import { createEngine } from "../dist/engine/index.js";
import { halfToNumber } from "../dist/formats/float.js";
import { source as sourceAlone } from "../dist/fuse/functions/source.js";
import { openPair } from "../dist/fuse/pair.js";
import { buildTargetDistributions, targetDistributionWidth } from "../dist/fuse/target-distributions.js";
import { drawConversations } from "../dist/lab/conversations.js";
import { MAX_LENGTH } from "../dist/lab/demo-recipe.js";
import { DEMO_MODELS } from "../dist/lab/models/index.js";
import { silent } from "../dist/reporter.js";

const { values } = parseArgs({
  options: {
    source: { type: "string", default: "lab-llama" },
    conversations: { type: "string", default: "200" },
    draws: { type: "string", default: "12" },
    k: { type: "string", default: "5,10,32" },
  },
});
const models = new URL("../lab/models/", import.meta.url).pathname;
const pivot = DEMO_MODELS.find(({ role }) => role === "pivot").name;
const draws = Number(values.draws);
const conversations = drawConversations("bench/target-rows", Number(values.conversations));
const work = await mkdtemp(join(tmpdir(), "fusechat-target-rows-"));
const engine = await createEngine({ kind: "onnx", threads: 2 });
const context = { engine, reporter: silent };

try {
  const vocabulary = (await engine.facts(join(models, pivot))).vocabulary;
  const whole = await collect(pivot, { topK: vocabulary });
  const p = await readPivot(whole, vocabulary);
  const all = await collect(values.source, { topK: (await engine.facts(join(models, values.source))).vocabulary });
  const exact = gradients(p, await targets(whole, await align(whole, all, vocabulary), "renormalise"), vocabulary);
  const rows = exact.map((gradient, row) => (gradient === null ? -1 : row)).filter((row) => row >= 0);
  console.log(`${pivot} from ${values.source}: ${rows.length} rows that it shares, ${draws} draws\n`);
  console.log("rows     tail         K  bytes     bias   spread   bias of the sum");
  for (const k of values.k.split(",").map(Number)) {
    const top = await collect(values.source, { topK: k });
    const own = await collect(pivot, { topK: k });
    const aligned = await align(own, top, 2 * k);
    for (const tail of ["renormalise", "drop", "bucket", "pivot"]) {
      report("top", tail, k, [gradients(p, await targets(own, aligned, tail), vocabulary)], exact, rows);
    }
    const drawn = [];
    for (let seed = 1; seed <= draws; seed++) {
      const sampled = await collect(values.source, { topK: k, rows: "sampled", seed });
      drawn.push(gradients(p, await targets(own, await align(own, sampled, 2 * k), "renormalise"), vocabulary));
    }
    report("sampled", "renormalise", k, drawn, exact, rows);
  }
} finally {
  await engine.dispose();
  await rm(work, { recursive: true, force: true });
}

async function collect(name, how) {
  const out = join(work, [name, ...Object.values(how)].join("-"));
  await collectDistributions(
    { model: join(models, name), conversations, out, maxLength: MAX_LENGTH, template: "native", ...how },
    context,
  );
  return out;
}

async function align(pivotShards, sourceShards, width) {
  const out = `${sourceShards}-aligned-${width}`;
  const { labelMass, divide } = recommendedTransfer("split");
  const how = { vocabulary: "split", sequence: "bytes", width, labelMass, divide };
  await alignDistributions({ pivot: pivotShards, source: sourceShards, out, ...how }, context);
  return out;
}

/** A row's probabilities by id, of shards that hold all of them. */
async function readPivot(folder, vocabulary) {
  const pair = await openPair({ pivot: folder, level: "conversation" });
  const found = [];
  for await (const shard of pair.shards()) {
    for (const { pivot: own } of shard) {
      for (let row = own.first; row < own.first + own.rows; row++) {
        const p = new Float64Array(vocabulary);
        for (let at = row * vocabulary; at < (row + 1) * vocabulary; at++) {
          p[own.shard.topId[at]] = Math.exp(halfToNumber(own.shard.topLogp[at]));
        }
        const sum = p.reduce((a, b) => a + b, 0);
        found.push(p.map((mass) => mass / sum));
      }
    }
  }
  return found;
}

/** The target of every row as `{id: mass}` with the tail's mass; null where the source does not share it. */
async function targets(pivotShards, aligned, tail) {
  const pair = await openPair({ pivot: pivotShards, aligned, level: "conversation" });
  const width = targetDistributionWidth(pair, { function: sourceAlone, tail });
  const hasToken = new Uint8Array(pair.metadata.vocabulary).fill(1);
  const rules = { function: sourceAlone, level: "conversation", record: null, tail, unshared: "skip", hasToken, width };
  const found = [];
  for await (const shard of pair.shards()) {
    for (const conversation of shard) {
      const { id, probability, tail: rest } = buildTargetDistributions(conversation, rules);
      for (let r = 0; r < conversation.pivot.rows; r++) {
        const mass = new Map();
        for (let k = r * width; k < (r + 1) * width; k++) if (probability[k] > 0) mass.set(id[k], probability[k]);
        found.push(mass.size === 0 ? null : { mass, tail: rest?.[r] ?? 0 });
      }
    }
  }
  return found;
}

/** [rows][vocabulary] `Q p - q`, a bucket's mass spread as the model itself has it (docs/formats.md). */
function gradients(p, found, vocabulary) {
  return found.map((target, row) => {
    if (target === null) return null;
    const q = new Float64Array(vocabulary);
    for (const [id, mass] of target.mass) q[id] = mass;
    const outside = p[row].reduce((sum, mass, id) => (target.mass.has(id) ? sum : sum + mass), 0);
    if (target.tail > 0 && outside > 1e-7) {
      for (let id = 0; id < vocabulary; id++) if (!target.mass.has(id)) q[id] = (target.tail * p[row][id]) / outside;
    }
    const whole = q.reduce((a, b) => a + b, 0);
    return p[row].map((mass, id) => whole * mass - q[id]);
  });
}

/** `drawn` [draws][rows][vocabulary]. The squared bias is corrected for the variance of a mean of so many draws. */
function report(rowsKind, tail, k, drawn, exact, rows) {
  const vocabulary = exact[rows[0]].length;
  const count = drawn.length;
  const [sumExact, sumMean, sumVariance] = [0, 0, 0].map(() => new Float64Array(vocabulary));
  let [norm, bias, variance] = [0, 0, 0];
  for (const row of rows) {
    for (let id = 0; id < vocabulary; id++) {
      let [mean, square] = [0, 0];
      for (const one of drawn) {
        const value = one[row]?.[id] ?? 0;
        mean += value / count;
        square += (value * value) / count;
      }
      const spread = count === 1 ? 0 : (Math.max(0, square - mean * mean) * count) / (count - 1);
      norm += exact[row][id] ** 2;
      bias += (mean - exact[row][id]) ** 2 - spread / count;
      variance += spread;
      sumExact[id] += exact[row][id];
      sumMean[id] += mean;
      sumVariance[id] += spread;
    }
  }
  const total = sumExact.reduce((sum, value) => sum + value ** 2, 0);
  const summed = sumMean.reduce((sum, value, id) => sum + (value - sumExact[id]) ** 2 - sumVariance[id] / count, 0);
  const share = (value) => Math.sqrt(Math.max(0, value)).toFixed(3).padStart(7);
  console.log(
    `${rowsKind.padEnd(8)} ${tail.padEnd(11)} ${String(k).padStart(2)}  ${String(4 * k).padStart(5)}  ${share(bias / norm)}  ${share(variance / norm)}  ${share(summed / total)}`,
  );
}
