/**
 * Fidelity of vocabulary strategies and of the options that refine a row, on sampled truth: KL(P || Q') in nats to the
 * true pivot distribution, means over rows with 95 % bootstrap intervals, and differences to `split` row by row. Rows go
 * through the program's own transfer (float16, 20 kept), but for two lines. "The pivot itself" is what a pivot that
 * divides masses would give alone: one with 4 bytes of context, one of other texts, and one that knows the truth.
 *
 *   node bench/fidelity.mjs [places] [pivot source]
 *
 * Needs ../shared (places, texts and tokenizers that are not ours to copy). The counts at a place are the file's; the
 * source's next rows along its own label and what other pivots expect there are sampled here: about a minute a pair.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createByteModel, joinTexts } from "../dist/align/fidelity/byte-model.js";
import { advance, drawContinuations, nextTokens, writtenAt } from "../dist/align/fidelity/sample-rows.js";
import { readModelTexts, readSampledFile } from "../dist/align/fidelity/sampled-file.js";
import * as fidelity from "../dist/align/fidelity.js";
import { chainLabel } from "../dist/align/label-mass.js";
import { createPreference } from "../dist/align/preference.js";
import { STRATEGIES } from "../dist/align/strategies/index.js";
import { split } from "../dist/align/strategies/split.js";
import { createTransfer } from "../dist/align/transfer.js";
import { readVocabulary } from "../dist/align/vocabulary.js";
import { buildVocabularyMap } from "../dist/align/vocabulary-map.js";
import { halfToNumber, numberToHalf } from "../dist/formats/float.js";
import { createRandom } from "../dist/random.js";
import { bootstrapMean } from "../dist/statistics/bootstrap.js";
import { loadTokenizer } from "../dist/tokenizer/load.js";

const shared = resolve(import.meta.dirname, "../../shared");
const golden = join(shared, "golden/align");
if (!existsSync(join(golden, "fidelity.safetensors"))) {
  console.log(`skipped: ${shared} is not there; fidelity needs its tokenizers, texts and sampled places`);
  process.exit(0);
}

const PAIRS = [
  ["openchat-3.5", "qwen2.5"],
  ["openchat-3.5", "internlm2-chat"],
  ["openchat-3.5", "llama-3"],
  ["openchat-3.5", "gemma-it"],
  ["qwen2.5", "openchat-3.5"],
];
const END_OF_TURN = {
  "gemma-it": "<end_of_turn>",
  "internlm2-chat": "<|im_end|>",
  "llama-3": "<|eot_id|>",
  "openchat-3.5": "<|end_of_turn|>",
  "qwen2.5": "<|im_end|>",
};
/** Continuations of a next row, and the fewest of them that count as a row. */
const SAMPLES = 2000;
const FEWEST = 100;
const WIDTH = 20;
/** Source rows after the label's first that are looked at. */
const DEPTH = 4;

const file = await readSampledFile(join(golden, "fidelity.safetensors"));
const published = JSON.parse(readFileSync(join(golden, "fidelity.json"), "utf8"));
const chat = join(shared, "data/chat");
const texts = readModelTexts(chat, file.modelTexts);
const model = createByteModel(joinTexts(texts));
const [, , , ...chosen] = process.argv;
const pairs = chosen.length === 2 ? [chosen] : PAIRS;
const places = file.places.slice(0, Number(process.argv[2] ?? file.places.length));

/** Pivots worse than the truth: the model with less context, and one counted on other texts. */
const weaker = {
  "order 4": createByteModel(joinTexts(texts), 4),
  "other texts": createByteModel(joinTexts(otherTexts())),
};
const readers = {};
for (const name of new Set(pairs.flat())) readers[name] = await openReader(name);

for (const [pivotName, sourceName] of pairs) await benchPair(pivotName, sourceName);

async function benchPair(pivotName, sourceName) {
  const [pivot, source] = [readers[pivotName], readers[sourceName]];
  const rows = await readRows(pivotName, sourceName);
  const input = {
    pivot: pivot.vocabulary,
    counts: fidelity.countTexts(pivot.encodings, source.encodings, pivot.vocabulary, source.vocabulary),
    firstPivotToken: (bytes) => pivot.tokenizer.firstTokenOf(bytes),
  };
  const used = new Set(rows.flatMap((row) => [row.labels[0], ...row.source.keys()]));
  const ends = { pivotEndOfTurn: pivot.endOfTurn, sourceEndOfTurn: [source.endOfTurn] };
  const mapOf = (strategy) => buildVocabularyMap(strategy, input, source.vocabulary, ends, [], (id) => used.has(id));
  const map = await mapOf(split);
  for (const row of rows) await followLabel(row, source, map);
  const coarser = rows.filter((row) => row.chain > 1).length;
  const finer = rows.filter((row) => row.chain === 0).length;
  console.log(
    `\npivot ${pivotName}, source ${sourceName}: ${rows.length} rows; the pivot's label is several tokens of the source ` +
      `in ${coarser}, ends within one in ${finer}`,
  );

  const real = transferred(map, pivot.vocabulary.size, WIDTH);
  const before = candidate("split", (row) => real(row, false, null));
  print("split", before);
  print(
    "split, all places kept",
    candidate("whole", (row) => fidelity.mapMasses(map, row.source)),
  );
  for (const strategy of STRATEGIES.filter((other) => other !== split)) {
    const other = transferred(await mapOf(strategy), pivot.vocabulary.size, WIDTH);
    print(
      strategy.name,
      candidate(strategy.name, (row) => other(row, false, null)),
    );
  }
  print(
    "label_mass: chain",
    candidate("chain", (row) => real(row, true, null)),
  );
  const spread = (row) => path(row, map, pivot.vocabulary, source.vocabulary);
  print("path, all places kept", candidate("path", spread));
  for (const name of [...Object.keys(weaker), "the truth"]) {
    const opinion = (row) => row.opinions[name];
    print(`${name}: the pivot itself`, candidate(name, opinion));
    print(
      `${name}: divide by pivot`,
      candidate(`${name}/divide`, (row) => real(row, false, opinion(row))),
    );
    print(
      `${name}: divide and chain`,
      candidate(`${name}/both`, (row) => real(row, true, opinion(row))),
    );
  }
  const perfect = published.find(
    (row) =>
      row.pivot === pivotName &&
      row.source === sourceName &&
      row.contexts === "all" &&
      row.strategy.startsWith("floor: perfect"),
  );
  if (perfect !== undefined && places.length === file.places.length)
    console.log(`  ${"a perfect map".padEnd(36)} ${perfect.kl.toFixed(4)}`);

  function candidate(name, mapped) {
    const figures = rows.map((row) => fidelity.rowFidelity(row.truth, mapped(row), pivot.background));
    return { ...fidelity.meanFidelity(figures, name), figures };
  }
  function print(name, { kl, tv, kept, figures }) {
    const gain = (chosen) => {
      const differences = figures.flatMap((figure, i) => (chosen(rows[i]) ? [figure.kl - before.figures[i].kl] : []));
      return differences.length === 0 ? null : bootstrapMean(differences, name);
    };
    const short = (mean) => (mean === null ? "–" : mean.value.toFixed(4));
    const all = gain(() => true);
    console.log(
      `  ${name.padEnd(36)} ${kl.value.toFixed(4)} [${kl.low.toFixed(2)}, ${kl.high.toFixed(2)}]  tv ${tv.value.toFixed(4)}  ` +
        `kept ${kept.value.toFixed(3)}  to split ${all.value.toFixed(4)} [${all.low.toFixed(4)}, ${all.high.toFixed(4)}]  ` +
        `held-out ${short(gain((row) => !row.seen))}, seen ${short(gain((row) => row.seen))}, ` +
        `pivot coarser ${short(gain((row) => row.chain > 1))}, finer ${short(gain((row) => row.chain === 0))}`,
    );
  }
}

/** The rows of a pair, by the rule of the golden table. */
async function readRows(pivotName, sourceName) {
  const rows = [];
  for (const [index, place] of places.entries()) {
    const truth = file.rows.get(pivotName)[index];
    const sampled = file.rows.get(sourceName)[index];
    if (truth.label < 0 || sampled.label < 0 || total(truth.first) < FEWEST || total(sampled.second) < FEWEST) continue;
    const [pivotText, sourceText] = [
      await writtenAt(readers[pivotName].tokenizer, place),
      await writtenAt(readers[sourceName].tokenizer, place),
    ];
    const opinions = { "the truth": fidelity.mostFrequent(truth.second, fidelity.SOURCE_TOKENS) };
    for (const [name, pivotModel] of Object.entries(weaker)) {
      const next = await sampleRow(pivotModel, place, readers[pivotName], pivotText.before, `${name}/${index}`);
      opinions[name] = fidelity.mostFrequent(next, fidelity.SOURCE_TOKENS);
    }
    const end = pivotText.labelEnd[0];
    rows.push({
      index,
      place,
      seen: place.seen,
      truth: fidelity.mostFrequent(truth.first),
      source: fidelity.mostFrequent(sampled.second, fidelity.SOURCE_TOKENS),
      pivotLabel: pivotText.labels[0],
      end,
      before: sourceText.before,
      labels: sourceText.labels,
      labelEnd: sourceText.labelEnd,
      labelShare: [(sampled.second.get(sampled.label) ?? 0) / total(sampled.second)],
      next: [],
      /** Source tokens that tile the pivot's label. */
      chain: 1 + sourceText.labelEnd.indexOf(end),
      opinions,
    });
  }
  return rows;
}

/** Samples the source's next rows where the label has several places, or several of its tokens tile the pivot's label. */
async function followLabel(row, source, map) {
  const label = row.labels[0];
  if (map.start[label + 1] - map.start[label] < 2 && row.chain < 2) return;
  for (let depth = 1; depth <= DEPTH && row.labelEnd[depth - 1] <= row.end; depth++) {
    const before = Int32Array.from([...row.before, ...row.labels.slice(0, depth)]);
    const later = advance(row.place, row.labelEnd[depth - 1]);
    const counts = await sampleRow(model, later, source, before, `${source.name}/${row.index}/${depth}`);
    if (total(counts) < FEWEST) break;
    row.labelShare.push((counts.get(row.labels[depth]) ?? 0) / total(counts));
    row.next.push(fidelity.mostFrequent(counts, fidelity.SOURCE_TOKENS));
  }
  if (row.chain > row.labelShare.length) row.chain = -1;
}

async function sampleRow(byteModel, place, reader, before, seed) {
  const continuations = drawContinuations(byteModel, place, SAMPLES, createRandom(`bench/fidelity/${seed}`));
  const counts = new Map();
  for (const id of await nextTokens(reader, before, continuations)) {
    if (id >= 0) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return counts;
}

/** Rows through the program's own transfer: float16, a width, and what refines a row. */
function transferred(map, size, width) {
  const transfer = createTransfer(map, size, width);
  const reader = createPreference(size);
  const id = new Uint32Array(width);
  const logp = new Uint16Array(width);
  const known = { source: 0, pivot: 0, stored: false, mass: 0, rest: 0 };
  return (row, chain, opinion) => {
    let label = chain && row.chain > 0;
    if (label) {
      const rows = labelRows(row);
      label = chainLabel(known, row.pivotLabel, rows.token[0], rows, 0, row.chain, map);
    }
    if (opinion !== null) reader.read(stored(opinion), 0);
    const { topId, topLogp } = stored(row.source);
    transfer.row(topId, topLogp, 0, id, logp, 0, label ? known : null, opinion === null ? null : reader);
    const mapped = new Map();
    for (let k = 0; k < width && logp[k] !== 0xfc00; k++) mapped.set(id[k], Math.exp(halfToNumber(logp[k])));
    return mapped;
  };
}

/** What a shard has of the label's rows. */
function labelRows({ labels, labelShare, source }) {
  return { ...stored(source), token: labels, labelLogp: Float32Array.from(labelShare, Math.log) };
}

function stored(masses) {
  return {
    metadata: { topK: masses.size },
    topId: Int32Array.from(masses.keys()),
    topLogp: Uint16Array.from(masses.values(), (mass) => numberToHalf(Math.log(mass))),
  };
}

/**
 * What the program does not do: the mass of the source's label spread by its next rows, as far as the pivot's label
 * reaches. A token that leaves the path goes to the longest place of the label that its text begins with; places that
 * reach further share by their counts.
 */
function path(row, map, pivotVocabulary, sourceVocabulary) {
  const label = row.labels[0];
  const others = new Map([...row.source].filter(([id]) => id !== label));
  const mapped = fidelity.mapMasses(map, others);
  const places = new Map();
  for (let e = map.start[label]; e < map.start[label + 1]; e++) places.set(map.pivot[e], map.share[e]);
  const give = (shares, mass) => {
    const sum = total(shares);
    for (const [id, share] of shares) mapped.set(id, (mapped.get(id) ?? 0) + (mass * share) / sum);
  };
  const follow = (depth, text, mass) => {
    if (row.labelEnd[depth] > row.end) return give(new Map([[row.pivotLabel, 1]]), mass);
    const next = row.next[depth];
    if (next === undefined || places.size < 2) return give(places, mass);
    let rest = mass;
    for (const [token, share] of next) {
      if (token === row.labels[depth + 1]) continue;
      const read = Buffer.concat([text, sourceVocabulary.bytes(token)]);
      const fitting = [...places].filter(([id]) => agree(pivotVocabulary.bytes(id), read));
      const longest = Math.min(read.length, Math.max(0, ...fitting.map(([id]) => pivotVocabulary.byteLength[id])));
      const ends = fitting.filter(([id]) => pivotVocabulary.byteLength[id] >= longest);
      give(ends.length > 0 ? new Map(ends) : places, mass * share);
      rest -= mass * share;
    }
    const on = mass * row.labelShare[depth + 1];
    follow(depth + 1, Buffer.concat([text, sourceVocabulary.bytes(row.labels[depth + 1])]), on);
    if (rest > on) give(places, rest - on);
  };
  if (places.size > 0 && row.labelShare[0] > 0)
    follow(0, Buffer.from(sourceVocabulary.bytes(label)), row.labelShare[0]);
  return mapped;
}

function agree(a, b) {
  return a.every((byte, i) => i >= b.length || byte === b[i]);
}

function total(counts) {
  let sum = 0;
  for (const count of counts.values()) sum += count;
  return sum;
}

async function openReader(name) {
  const tokenizer = await loadTokenizer(join(shared, "data/tokenizers", name));
  const encodings = await tokenizer.encodeBatch(texts);
  let endOfTurn = -1;
  for (let id = 0; id < tokenizer.size; id++) if (tokenizer.tokenText(id) === END_OF_TURN[name]) endOfTurn = id;
  const vocabulary = readVocabulary(tokenizer, tokenizer.size);
  return {
    name,
    tokenizer,
    encodings,
    endOfTurn,
    vocabulary,
    background: fidelity.backgroundOf(encodings, tokenizer.size),
  };
}

/** About as much text of the same kinds, none of it the model's. */
function otherTexts() {
  const lines = [
    ["alpaca/alpaca.jsonl", 500, 1100],
    ["alpaca/alpaca_zh.jsonl", 100, 150],
    ["gsm8k/train_3000.jsonl", 500, 1000],
    ["code/mbpp.jsonl", 200, 400, "code"],
    ["multi_turn/mt_bench_answers.jsonl", 150, 200],
    ["multi_turn/mtbench101.jsonl", 100, 160],
  ];
  return lines.flatMap(([name, from, to, field = null]) =>
    readModelTexts(chat, [[name, to, field]]).slice(readModelTexts(chat, [[name, from, field]]).length),
  );
}
