/**
 * Alignment of dialogues of about 700 pivot tokens, top-10.
 *
 * One core: sequence alignment and transfer per dialogue, beside the time that merely copying the same bytes takes in
 * the same run. Whole folders: counting and the whole stage with one thread and with all, and what of it is reading and
 * writing, beside copying the same files. Memory: the peak of a process that counts, less what its tokenizers take.
 *
 *   node bench/align.mjs [--quick] [dialogues of the folders] [rounds]
 *
 * Texts and tokenizers come from ../shared/data where it exists, else from test/golden.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { alignDistributions } from "../dist/align/align.js";
import { alignPart } from "../dist/align/align-part.js";
import { createLeadSwaps } from "../dist/align/leads.js";
import { part } from "../dist/align/paired-conversations.js";
import { SEQUENCES } from "../dist/align/sequences/index.js";
import { readAlignedShard, writeAlignedShard } from "../dist/align/shard-file.js";
import { STRATEGIES } from "../dist/align/strategies/index.js";
import { createSurveyor, mergeSurveys } from "../dist/align/survey.js";
import { createTransfer } from "../dist/align/transfer.js";
import { shareVocabulary } from "../dist/align/units/shared-vocabulary.js";
import { openUnitPool } from "../dist/align/units/unit-pool.js";
import { createUnitReader, listUnits } from "../dist/align/units/units.js";
import { readVocabulary } from "../dist/align/vocabulary.js";
import { buildVocabularyMap } from "../dist/align/vocabulary-map.js";
import { readDistributionsShard, tokenIds, writeDistributionsShard } from "../dist/distributions/shard-file.js";
import { numberToHalf } from "../dist/formats/float.js";
import { createRandom } from "../dist/random.js";
import { loadTokenizer } from "../dist/tokenizer/load.js";

const quick = process.argv.includes("--quick");
const [first, second, third] = process.argv.slice(2).filter((argument) => argument !== "--quick");
const DIALOGUES = Number(first ?? (quick ? 512 : 10_000));
const ROUNDS = Number(second ?? (quick ? 3 : 9));
const TOKENS = 700;
const TOP_K = 10;
const SHARD = 256;
/** Different dialogues; folders of more have them again, with other numbers. */
const DIFFERENT = Math.min(DIALOGUES, quick ? 256 : 2048);

const root = resolve(import.meta.dirname, "..");
const data = join(root, "../shared/data");
const real = existsSync(data);
const folders = real
  ? { pivot: join(data, "tokenizers/openchat-3.5"), source: join(data, "tokenizers/qwen1.5") }
  : { pivot: join(root, "test/golden/models/mistral"), source: join(root, "test/golden/models/qwen2") };

const tokenizers = { pivot: await loadTokenizer(folders.pivot), source: await loadTokenizer(folders.source) };
const vocabularies = {
  pivotVocabulary: readVocabulary(tokenizers.pivot, tokenizers.pivot.size),
  sourceVocabulary: readVocabulary(tokenizers.source, tokenizers.source.size),
};
const modelFolders = { pivotModel: folders.pivot, sourceModel: folders.source };

if (first === "count") {
  await countAlone(second, Number(third));
} else {
  const work = await mkdtemp(join(tmpdir(), "fusechat-bench-align-"));
  try {
    const texts = await dialogues();
    for (const side of ["pivot", "source"]) await writeSide(join(work, side), side, texts);
    await dialogueByDialogue(work);
    await wholeFolders(work);
  } finally {
    await rm(work, { recursive: true });
  }
}

/** One thread, everything in memory: microseconds a dialogue. */
async function dialogueByDialogue(work) {
  const { pivotVocabulary, sourceVocabulary } = vocabularies;
  const units = (await listUnits(join(work, "pivot"), join(work, "source"))).slice(0, 2);
  const surveyor = createSurveyor(pivotVocabulary, sourceVocabulary, SEQUENCES[0]);
  const conversations = [];
  for (const unit of units) {
    // A reader of its own for each, as a reader gives back what it opened before.
    await surveyor.add(await createUnitReader(pivotVocabulary, sourceVocabulary).open(unit));
    const again = await createUnitReader(pivotVocabulary, sourceVocabulary).open(unit);
    for (let n = 0; n < again.pivot.shard.conversation.length; n++) {
      conversations.push([part(again.pivot, n), await again.find(again.pivot.shard.conversation[n])]);
    }
  }
  const survey = mergeSurveys([surveyor.part()], sourceVocabulary);
  console.log(
    `${real ? "openchat-3.5 and qwen1.5" : "golden mistral and qwen2"}: dialogues of ` +
      `${Math.round(survey.rows / survey.conversations)} pivot rows, ${percent(survey.sharedRows / survey.rows)} shared, top-${TOP_K}`,
  );
  const largest = Math.max(...conversations.map(([pivot]) => pivot.to));
  const sourceRow = new Int32Array(largest);
  const walk = (sequence) => () => {
    for (const [pivot, source] of conversations) {
      const [a, b] = [pivot.side.spans, source.side.spans];
      sequence.align(a, pivot.from, pivot.to, b, source.from, source.to, sourceRow);
    }
  };
  const each = (ms) => `${((1000 * ms) / conversations.length).toFixed(1)} µs`;
  const walks = medians(SEQUENCES.map(walk));
  SEQUENCES.forEach(({ name }, i) => {
    console.log(`sequence alignment ${name} alone: ${each(walks[i])} a dialogue`);
  });

  const input = {
    pivot: pivotVocabulary,
    counts: survey.counts,
    firstPivotToken: (text) => tokenizers.pivot.firstTokenOf(text),
  };
  const copied = copyRound(conversations);
  for (const strategy of STRATEGIES) {
    const width = strategy.name === "split" ? 2 * TOP_K : TOP_K;
    const begun = performance.now();
    const map = await buildVocabularyMap(
      strategy,
      input,
      sourceVocabulary,
      survey,
      survey.texts,
      (id) => survey.tokenMass[id] > 0,
    );
    const built = performance.now() - begun;
    const transfer = createTransfer(map, pivotVocabulary.size, width);
    const out = {
      sourceRow,
      topId: tokenIds(pivotVocabulary.size, largest * width),
      topLogp: new Uint16Array(largest * width),
    };
    const texts = survey.texts.map(({ bytes }) => bytes);
    const swaps = createLeadSwaps(pivotVocabulary, sourceVocabulary, texts);
    const plan = {
      sequence: SEQUENCES[0],
      swaps,
      sourceVocabulary,
      map,
      width,
      labelMass: "none",
      preference: null,
    };
    const round = () => {
      for (const [pivot, source] of conversations) alignPart(plan, transfer, out, pivot, source);
    };
    const [aligned, copy] = medians([round, () => copied(width)]);
    console.log(
      `${strategy.name}, width ${width}: ${each(aligned)} a dialogue (budget 200), ` +
        `copying its bytes ${each(copy)}, ratio ${(aligned / copy).toFixed(1)}; its map in ${built.toFixed(0)} ms`,
    );
  }
}

/** Folders of `DIALOGUES`: seconds, and megabytes. */
async function wholeFolders(work) {
  const pair = { pivot: join(work, "pivot"), source: join(work, "source") };
  console.log(`folders of ${DIALOGUES} dialogues`);
  const counts = [1, availableParallelism()];
  for (const threads of counts) {
    const line = execFileSync(process.execPath, [import.meta.filename, "count", work, String(threads)]).toString();
    console.log(`counting, ${threads} ${threads === 1 ? "thread" : "threads"}: ${line.trim()}`);
  }
  for (const threads of counts) {
    const out = join(work, `aligned-${threads}`);
    const begun = performance.now();
    const options = { ...pair, ...modelFolders, out, vocabulary: "split", sequence: "bytes", threads };
    await alignDistributions(options, { reporter: { report: () => {} } });
    console.log(
      `whole stage, ${threads} ${threads === 1 ? "thread" : "threads"}: ${seconds(begun)}, tokenizers included`,
    );
  }

  const aligned = join(work, "aligned-1");
  const shards = async (folder) => (await readdir(folder)).filter((name) => name.startsWith("shard-"));
  const few = Math.min(8, (await shards(aligned)).length);
  const paths = (folder) =>
    Array.from({ length: few }, (_, n) => join(folder, `shard-${String(n).padStart(5, "0")}.safetensors`));
  const [pivotShards, sourceShards, alignedShards] = [pair.pivot, pair.source, aligned].map(paths);
  const inMemory = await Promise.all(alignedShards.map((path) => readAlignedShard(path)));
  const copyOf = (path) => join(work, `copy-${path.split("/").at(-1)}`);
  const jobs = [
    async () => {
      for (const path of [...pivotShards, ...sourceShards, ...alignedShards]) {
        await copyFile(path, copyOf(path));
        await flush(copyOf(path));
      }
    },
    async () => {
      for (const path of [...pivotShards, ...sourceShards]) await readDistributionsShard(path);
      for (let n = 0; n < few; n++) await writeAlignedShard(copyOf(alignedShards[n]), inMemory[n]);
    },
  ];
  const times = jobs.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, job] of jobs.entries()) {
      const begun = performance.now();
      await job();
      times[i].push(performance.now() - begun);
    }
  }
  const [copy, through] = times.map((list) => list.sort((x, y) => x - y)[list.length >> 1]);
  console.log(
    `files of ${few} shards: copied and flushed in ${copy.toFixed(0)} ms; distributions read and checked, aligned shards ` +
      `written, nothing else: ${through.toFixed(0)} ms, ${(copy / through).toFixed(2)} of the speed of copying`,
  );
}

/** Only the first walk, in a process of its own. */
async function countAlone(work, threads) {
  const setup = {
    pivotVocabulary: shareVocabulary(vocabularies.pivotVocabulary),
    sourceVocabulary: shareVocabulary(vocabularies.sourceVocabulary),
    sequence: "bytes",
  };
  const before = process.resourceUsage().maxRSS / 1024;
  const begun = performance.now();
  const units = await listUnits(join(work, "pivot"), join(work, "source"));
  const pool = openUnitPool(setup, threads);
  await pool.each(units.length, (unit, n) => unit.survey(units[n]));
  const { counts } = mergeSurveys(await pool.all((unit) => unit.surveyed(null)), vocabularies.sourceVocabulary);
  await pool.dispose();
  const peak = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${seconds(begun)}, ${counts.pivot.length} different pairs, peak ${peak.toFixed(0)} MB, of which ` +
      `${(peak - before).toFixed(0)} MB came after the tokenizers`,
  );
}

async function flush(path) {
  const file = await open(path, "r+");
  await file.sync();
  await file.close();
}

function seconds(begun) {
  return `${((performance.now() - begun) / 1000).toFixed(1)} s`;
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
  for (let next = 0; result.length < DIFFERENT; ) {
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
async function writeSide(folder, side, texts) {
  const tokenizer = tokenizers[side];
  const random = createRandom(`bench/align/${side}`);
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
    const shard = {
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
    };
    for (let from = first; from < DIALOGUES; from += DIFFERENT) {
      const conversation = Int32Array.from(encodings, (_, n) => from + n);
      const name = `shard-${String(from / SHARD).padStart(5, "0")}.safetensors`;
      await writeDistributionsShard(join(folder, name), { ...shard, conversation });
    }
  }
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}
