/**
 * Alignment of a dialogue pair of about 700 pivot tokens, top-10, on one core: byte alignment and transfer per
 * conversation, beside the time that merely copying the same bytes takes in the same run; then the whole stage (both
 * walks, files read and written) and its peak memory. Medians of rounds.
 *
 *   node bench/align.mjs [conversations] [rounds]
 *
 * Texts and tokenizers come from ../shared/data where it exists, else from test/golden.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { alignDistributions } from "../dist/align/align.js";
import { pairedShards, part } from "../dist/align/paired-folders.js";
import { bytes } from "../dist/align/sequences/bytes.js";
import { STRATEGIES } from "../dist/align/strategies/index.js";
import { surveyFolders } from "../dist/align/survey.js";
import { createTransfer } from "../dist/align/transfer.js";
import { readVocabulary } from "../dist/align/vocabulary.js";
import { buildVocabularyMap } from "../dist/align/vocabulary-map.js";
import { alignPart } from "../dist/align/write-folder.js";
import { tokenIds, writeDistributionsShard } from "../dist/distributions/shard-file.js";
import { numberToHalf } from "../dist/formats/float.js";
import { createRandom } from "../dist/random.js";
import { loadTokenizer } from "../dist/tokenizer/load.js";

const CONVERSATIONS = Number(process.argv[2] ?? 500);
const ROUNDS = Number(process.argv[3] ?? 9);
const TOKENS = 700;
const TOP_K = 10;
const SHARD = 256;

const root = resolve(import.meta.dirname, "..");
const data = join(root, "../shared/data");
const real = existsSync(data);
const folders = real
  ? { pivot: join(data, "tokenizers/openchat-3.5"), source: join(data, "tokenizers/qwen1.5") }
  : { pivot: join(root, "test/golden/models/mistral"), source: join(root, "test/golden/models/qwen2") };

const tokenizers = { pivot: await loadTokenizer(folders.pivot), source: await loadTokenizer(folders.source) };
const texts = await dialogues();
const work = await mkdtemp(join(tmpdir(), "fusechat-bench-align-"));
try {
  for (const side of ["pivot", "source"]) await writeSide(side);
  await bench();
} finally {
  await rm(work, { recursive: true });
}

async function bench() {
  const pair = {
    pivot: join(work, "pivot"),
    source: join(work, "source"),
    pivotVocabulary: readVocabulary(tokenizers.pivot, tokenizers.pivot.size),
    sourceVocabulary: readVocabulary(tokenizers.source, tokenizers.source.size),
  };
  const survey = await surveyFolders(pair, bytes, () => {});
  console.log(
    `${real ? "openchat-3.5 and qwen1.5" : "golden mistral and qwen2"}: ${survey.conversations} conversations, ` +
      `${Math.round(survey.rows / survey.conversations)} pivot rows each, ${percent(survey.sharedRows / survey.rows)} shared, top-${TOP_K}`,
  );

  const conversations = [];
  for await (const { pivot, find } of pairedShards(pair)) {
    for (let n = 0; n < pivot.shard.conversation.length; n++) {
      conversations.push([part(pivot, n), await find(pivot.shard.conversation[n])]);
    }
  }
  const input = {
    pivot: pair.pivotVocabulary,
    counts: survey.counts,
    firstPivotToken: (text) => tokenizers.pivot.firstTokenOf(text),
  };
  const copied = copyRound(conversations);
  for (const strategy of STRATEGIES) {
    const width = strategy.name === "split" ? 2 * TOP_K : TOP_K;
    const map = await buildVocabularyMap(
      strategy,
      input,
      pair.sourceVocabulary,
      survey,
      survey.swaps.texts,
      (id) => survey.tokenMass[id] > 0,
    );
    const transfer = createTransfer(map, pair.pivotVocabulary.size, width);
    const largest = Math.max(...conversations.map(([pivot]) => pivot.to));
    const out = {
      sourceRow: new Int32Array(largest),
      topId: tokenIds(pair.pivotVocabulary.size, largest * width),
      topLogp: new Uint16Array(largest * width),
    };
    const plan = { sequence: bytes, survey, sourceVocabulary: pair.sourceVocabulary, width };
    const round = () => {
      for (const [pivot, source] of conversations) alignPart(plan, transfer, out, pivot, source);
    };
    const [aligned, copy] = medians([round, () => copied(width)]);
    const each = (ms) => `${((1000 * ms) / conversations.length).toFixed(1)} µs`;
    console.log(
      `${strategy.name}, width ${width}: ${each(aligned)} a conversation (budget 200), ` +
        `copying its bytes ${each(copy)}, ratio ${(aligned / copy).toFixed(1)}`,
    );
  }

  const begun = process.cpuUsage();
  const out = join(work, "aligned");
  const summary = await alignDistributions(
    { ...pair, out, vocabulary: "split", sequence: "bytes", pivotModel: folders.pivot, sourceModel: folders.source },
    { reporter: { report: () => {} } },
  );
  const { user, system } = process.cpuUsage(begun);
  console.log(
    `whole stage: ${((user + system) / 1e6).toFixed(1)} s of processor time for ${summary.conversations} conversations, ` +
      `tokenizers and files included; peak memory ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB; ` +
      `${(await rowBytes()).toFixed(1)} B a stored row`,
  );
}

/** Copies what alignment reads and writes, as large blocks: the least that any implementation must move. */
function copyRound(conversations) {
  const rows = conversations.reduce((sum, [pivot]) => sum + pivot.to - pivot.from, 0);
  const sourceRows = conversations.reduce((sum, [, source]) => sum + source.to - source.from, 0);
  const idBytes = tokenizers.source.size > 65_536 ? 4 : 2;
  const read = new Uint8Array(rows * 14 + sourceRows * (14 + TOP_K * (idBytes + 2)));
  const buffer = new Uint8Array(Math.max(read.length, rows * (4 + 2 * TOP_K * 4)));
  return (width) => {
    const written = rows * (4 + width * 4);
    buffer.set(read);
    buffer.copyWithin(0, buffer.length - written);
  };
}

/** Runs the jobs in turn; the median of each, in milliseconds of processor time, which a busy machine distorts least. */
function medians(jobs) {
  const times = jobs.map(() => []);
  for (let round = 0; round < ROUNDS + 2; round++) {
    jobs.forEach((job, i) => {
      const begun = process.cpuUsage();
      job();
      const { user, system } = process.cpuUsage(begun);
      // Two rounds warm the compiler up.
      if (round >= 2) times[i].push((user + system) / 1000);
    });
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}

/** Responses joined until they have about `TOKENS` tokens of the pivot. */
async function dialogues() {
  const file = real ? join(data, "chat/alpaca/alpaca.jsonl") : join(root, "test/golden/pipeline/conversations.jsonl");
  const responses = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => {
      const { messages, turns } = JSON.parse(line);
      return (messages ?? turns).filter(({ role }) => role === "assistant").map(({ content }) => content);
    });
  const lengths = (await tokenizers.pivot.encodeBatch(responses)).map(({ ids }) => ids.length);
  const result = [];
  for (let next = 0; result.length < CONVERSATIONS; ) {
    let text = "";
    for (let length = 0; length < TOKENS - 50; next++) {
      if (lengths[next % responses.length] > 200) continue;
      text += `${responses[next % responses.length]}\n\n`;
      length += lengths[next % responses.length];
    }
    result.push(text);
  }
  return result;
}

/** Shards whose distributions hold the label and tokens drawn from the corpus, half of the mass falling each time. */
async function writeSide(side) {
  const tokenizer = tokenizers[side];
  const random = createRandom(`bench/align/${side}`);
  const folder = join(work, side);
  await mkdir(folder);
  for (let first = 0; first < texts.length; first += SHARD) {
    const encodings = await tokenizer.encodeBatch(texts.slice(first, first + SHARD));
    const rowStart = new Float64Array(encodings.length + 1);
    encodings.forEach(({ ids }, n) => {
      rowStart[n + 1] = rowStart[n] + ids.length;
    });
    const rows = rowStart[encodings.length];
    const join32 = (name) => Int32Array.from(encodings.flatMap((encoding) => Array.from(encoding[name])));
    const labels = join32("ids");
    const topId = tokenIds(tokenizer.size, rows * TOP_K);
    const topLogp = new Uint16Array(rows * TOP_K);
    for (let row = 0; row < rows; row++) {
      const taken = [labels[row]];
      while (taken.length < TOP_K) {
        const id = labels[random.integer(rows)];
        if (!taken.includes(id)) taken.push(id);
      }
      taken.forEach((id, k) => {
        topId[row * TOP_K + k] = id;
        topLogp[row * TOP_K + k] = numberToHalf((k + 1) * Math.log(0.5 - 0.1 * random.next()));
      });
      topLogp.subarray(row * TOP_K, (row + 1) * TOP_K).sort();
    }
    await writeDistributionsShard(join(folder, `shard-${String(first / SHARD).padStart(5, "0")}.safetensors`), {
      metadata: {
        model: side,
        weightsSha256: "0",
        tokenizerSha256: tokenizer.sha256,
        template: "native",
        topK: TOP_K,
        vocabulary: tokenizer.size,
        maxLength: 2048,
      },
      conversation: Int32Array.from(encodings, (_, n) => first + n),
      bytes: Int32Array.from(encodings, ({ byteEnd }) => byteEnd.at(-1)),
      rowStart,
      turn: new Uint16Array(rows).fill(1),
      byteStart: join32("byteStart"),
      byteEnd: join32("byteEnd"),
      lead: Uint8Array.from(join32("lead")),
      token: tokenIds(tokenizer.size, rows).map((_, row) => labels[row]),
      labelLogp: new Float32Array(rows).fill(-1),
      topId,
      topLogp,
    });
  }
}

/** Stored bytes a row of the pivot's first shard. */
async function rowBytes() {
  const path = join(work, "pivot", "shard-00000.safetensors");
  const [encodings, { size }] = await Promise.all([tokenizers.pivot.encodeBatch(texts.slice(0, SHARD)), stat(path)]);
  return size / encodings.reduce((sum, { ids }) => sum + ids.length, 0);
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
