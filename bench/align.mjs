/**
 * Alignment of dialogues of about 700 pivot tokens, top-10.
 *
 * One core: sequence alignment and transfer per dialogue, beside the time that merely copying the same bytes takes in
 * the same run. Whole folders: the whole stage in a process of its own, with one thread and with all, its time and the
 * peak of its private memory, tokenizers included; and reading and writing alone, beside copying the same files.
 *
 *   node bench/align.mjs [--quick] [--as-recipes] [--pivot folder --source folder] [dialogues of the folders] [rounds]
 *
 * --as-recipes times `split` with the chain rule, division by the pivot and rows within tokens instead of every strategy as it is defined;
 * in one process the compiled loops of the one would slow the other down.
 *
 * Texts and tokenizers come from ../shared/data where it exists, else from test/golden; --pivot and --source name other
 * tokenizers.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, open, readdir, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { alignDistributions } from "../dist/align/align.js";
import { alignPart } from "../dist/align/align-part.js";
import { createLeadSwaps } from "../dist/align/leads.js";
import { part } from "../dist/align/paired-conversations.js";
import { createPreference } from "../dist/align/preference.js";
import { recommendedTransfer } from "../dist/align/recommended.js";
import { SEQUENCES } from "../dist/align/sequences/index.js";
import { readAlignedShard, writeAlignedShard } from "../dist/align/shard-file.js";
import { neverFollowing } from "../dist/align/spaces/following.js";
import { loneSpaces } from "../dist/align/spaces/lone-space.js";
import { STRATEGIES } from "../dist/align/strategies/index.js";
import { createSurveyor, mergeSurveys } from "../dist/align/survey.js";
import { createTransfer } from "../dist/align/transfer.js";
import { createShardMemory } from "../dist/align/units/shard-memory.js";
import { createUnitReader, listUnits } from "../dist/align/units/units.js";
import { readVocabulary } from "../dist/align/vocabulary.js";
import { buildVocabularyMap } from "../dist/align/vocabulary-map.js";
import { readDistributionsShard, tokenIds, writeDistributionsShard } from "../dist/distributions/shard-file.js";
import { numberToHalf } from "../dist/formats/float.js";
import { createRandom } from "../dist/random.js";
import { loadTokenizer } from "../dist/tokenizer/load.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    "as-recipes": { type: "boolean", default: false },
    pivot: { type: "string" },
    source: { type: "string" },
  },
});
const { quick, "as-recipes": AS_RECIPES } = values;
const [first, second] = positionals;
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
const usual = real
  ? { pivot: join(data, "tokenizers/openchat-3.5"), source: join(data, "tokenizers/qwen1.5") }
  : { pivot: join(root, "test/golden/models/mistral"), source: join(root, "test/golden/models/qwen2") };
const folders = { pivot: values.pivot ?? usual.pivot, source: values.source ?? usual.source };
const names = `${basename(folders.pivot)} and ${basename(folders.source)}`;

const modelFolders = { pivotModel: folders.pivot, sourceModel: folders.source };
// The stage alone, for a process whose memory is measured.
if (first === "stage") {
  const options = { pivot: join(second, "pivot"), source: join(second, "source"), ...modelFolders, sequence: "bytes" };
  const [threads, vocabulary, within, out] = positionals.slice(2);
  await alignDistributions(
    { ...options, out, vocabulary, within, threads: Number(threads) },
    { reporter: { report: () => {} } },
  );
  process.exit(0);
}

const tokenizers = { pivot: await loadTokenizer(folders.pivot), source: await loadTokenizer(folders.source) };
const vocabularies = {
  pivotVocabulary: readVocabulary(tokenizers.pivot, tokenizers.pivot.size),
  sourceVocabulary: readVocabulary(tokenizers.source, tokenizers.source.size),
};
const work = await mkdtemp(join(tmpdir(), "fusechat-bench-align-"));
try {
  const texts = await dialogues();
  for (const side of ["pivot", "source"]) await writeSide(join(work, side), side, texts);
  await dialogueByDialogue(work);
  await wholeFolders(work);
} finally {
  await rm(work, { recursive: true });
}

/** One thread, everything in memory: microseconds a dialogue. */
async function dialogueByDialogue(work) {
  const { pivotVocabulary, sourceVocabulary } = vocabularies;
  const units = (await listUnits(join(work, "pivot"), join(work, "source"))).slice(0, 2);
  const surveyor = createSurveyor(pivotVocabulary, sourceVocabulary, SEQUENCES[0], AS_RECIPES ? "conditional" : "none");
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
    `${names}: dialogues of ` +
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
  const cases = AS_RECIPES
    ? ["none", "conditional"].map((within) => ({ strategy: STRATEGIES[0], ...recommendedTransfer("split"), within }))
    : STRATEGIES.map((strategy) => ({ strategy, labelMass: "none", divide: "counts", within: "none" }));
  for (const { strategy, labelMass, divide, within } of cases) {
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
    const isWithin = within === "conditional";
    const spaces = isWithin && {
      pivot: loneSpaces(pivotVocabulary),
      source: loneSpaces(sourceVocabulary),
      never: await neverFollowing(survey.pivotSpaces, new Set(map.pivot), input),
    };
    const built = performance.now() - begun;
    const transfer = createTransfer(map, pivotVocabulary.size, width);
    const transfers = {
      shared: transfer,
      within: isWithin ? createTransfer(map, pivotVocabulary.size, width) : null,
    };
    const out = {
      sourceRow,
      ...(isWithin && { withinRow: new Int32Array(largest) }),
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
      labelMass,
      preference: divide === "pivot" ? createPreference(pivotVocabulary.size) : null,
      spaces: spaces || null,
    };
    const round = () => {
      for (const [pivot, source] of conversations) alignPart(plan, transfers, out, pivot, source);
    };
    const [aligned, copy] = medians([round, () => copied(width)]);
    console.log(
      `${strategy.name}${labelMass === "none" ? "" : ` as recipes use it (${labelMass}, divided by the ${divide}, within ${within})`}, ` +
        `width ${width}: ${each(aligned)} a dialogue (budget 200), ` +
        `copying its bytes ${each(copy)}, ratio ${(aligned / copy).toFixed(1)}; its map in ${built.toFixed(0)} ms`,
    );
  }
}

/** Folders of `DIALOGUES`: seconds, and megabytes. */
async function wholeFolders(work) {
  const pair = { pivot: join(work, "pivot"), source: join(work, "source") };
  console.log(`folders of ${DIALOGUES} dialogues`);
  const cases = [
    ["mapping-statistics", "none"],
    ["split", "none"],
    ["split", "conditional"],
  ];
  for (const [vocabulary, within] of cases) {
    for (const threads of [1, availableParallelism()]) {
      const out = join(work, `aligned-${vocabulary}-${within}-${threads}`);
      const { elapsed, peak } = await measured([
        "stage",
        work,
        String(threads),
        vocabulary,
        within,
        out,
        "--pivot",
        folders.pivot,
        "--source",
        folders.source,
      ]);
      const budget = vocabulary === "mapping-statistics" ? " (budget 200)" : "";
      console.log(
        `whole stage, ${vocabulary}${within === "none" ? "" : `, within ${within}`}, ${threads} ${threads === 1 ? "thread" : "threads"}: ${elapsed}, the process ` +
          `started, tokenizers read and shards hashed; peak private memory ${peak} MB${budget}`,
      );
    }
  }

  const aligned = join(work, "aligned-split-none-1");
  const shards = async (folder) => (await readdir(folder)).filter((name) => name.startsWith("shard-"));
  const few = Math.min(8, (await shards(aligned)).length);
  const paths = (folder) =>
    Array.from({ length: few }, (_, n) => join(folder, `shard-${String(n).padStart(5, "0")}.safetensors`));
  const [pivotShards, sourceShards, alignedShards] = [pair.pivot, pair.source, aligned].map(paths);
  const inMemory = await Promise.all(alignedShards.map((path) => readAlignedShard(path)));
  const memories = [createShardMemory(), createShardMemory()];
  const copyOf = (path) => join(work, `copy-${path.split("/").at(-1)}`);
  const jobs = [
    async () => {
      for (const path of [...pivotShards, ...sourceShards, ...alignedShards]) {
        await copyFile(path, copyOf(path));
        await flush(copyOf(path));
      }
    },
    async () => {
      for (const path of pivotShards) await readDistributionsShard(path, memories[0]);
      for (const path of sourceShards) await readDistributionsShard(path, memories[1]);
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

/** Runs this file with other arguments; the peak of its private memory in megabytes, where the system tells it. */
async function measured(args) {
  const begun = performance.now();
  const child = spawn(process.execPath, [import.meta.filename, ...args], { stdio: "inherit" });
  let peak = 0;
  const watch = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      peak = Math.max(peak, Number(/^RssAnon:\s+(\d+)/m.exec(status)?.[1] ?? 0));
    } catch {}
  }, 10);
  const [code] = await once(child, "exit");
  clearInterval(watch);
  if (code !== 0) throw new Error(`the stage ended with code ${code}`);
  return { elapsed: seconds(begun), peak: peak === 0 ? "unknown" : Math.round(peak / 1024) };
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
        templateSha256: "0",
        specialTokensSha256: "0",
        templateName: "default",
        templateVariables: "{}",
        date: "2025-01-01",
        topK: TOP_K,
        vocabulary: tokenizer.size,
        maxLength: 2048,
      },
      conversation: Int32Array.from(encodings, (_, n) => first + n),
      // Dialogues are told apart by their numbers alone.
      conversationSha256: new Uint8Array(32 * encodings.length),
      idsSha256: new Uint8Array(32 * encodings.length),
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
      endOfTurn: new Int32Array(0),
      leftOutRow: new Int32Array(0),
      leftOut: new BigInt64Array(0),
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
