/**
 * A head wider than its tokenizer, through every stage by the command line: as pivot, as source, as merge input, in
 * evaluation and in chat. The model is one whose padding is louder than its tokens, so that a mistake would show.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AlignedShard } from "#src/align/shard.js";
import { readAlignedShard } from "#src/align/shard-file.js";
import { STRATEGIES } from "#src/align/strategies/index.js";
import { runCommandLine } from "#src/cli/program.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { readConversations } from "#src/data/read.js";
import { openConversationTokeniser } from "#src/data/tokenise.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { readJson, writeJson } from "#src/formats/files.js";
import { halfToNumber } from "#src/formats/float.js";
import { fusionFunction } from "#src/fuse/functions/index.js";
import { LEVELS, TAILS, UNSHARED } from "#src/fuse/options.js";
import type { Pair } from "#src/fuse/pair.js";
import type { PairConversation } from "#src/fuse/pair-conversation.js";
import { openRendering } from "#src/fuse/rendering.js";
import { buildTargetDistributions, targetDistributionWidth } from "#src/fuse/target-distributions.js";
import { openModel } from "#src/models/index.js";
import { memoryStreams } from "./cli/memory-streams.ts";
import { readPair } from "./fuse/whole-pair.ts";
import { HEAD_ROWS, loudPadding, TOKENS, withRows } from "./padded-models.ts";

const VERBS = await loadVerbs();

const GOLDEN = resolve(import.meta.dirname, "golden");
const MISTRAL = join(GOLDEN, "models/mistral");
const DATA = join(GOLDEN, "pipeline/conversations.jsonl");
const TOP_K = 10;
/** `<|im_end|>`; the other two special tokens, 406 and 407, have no place in another vocabulary. */
const END_OF_TURN = 408;
/** By how much of itself a mass may move when its logarithm is rounded to float16: half a step at 4 to 8 nats. */
const HALF_STEP = 2 ** -9;

let folder: string;
let loud: string;
let wide: string;
const at = (...parts: string[]): string => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-padded-head-"));
  loud = await loudPadding(at("loud"));
  wide = await withRows(at("wide"), 432);
  for (const model of [loud, wide, MISTRAL]) {
    await fusechat("distributions", "--model", model, "--data", DATA, "--out", at("distributions", nameOf(model)));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const nameOf = (model: string): string => model.split("/").at(-1)!;

/** What a command prints; it must succeed. */
async function fusechat(...arguments_: string[]): Promise<string> {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(arguments_, streams, new AbortController().signal, VERBS);
  expect(exitCode, streams.stderr.text).toBe(0);
  return streams.stdout.text;
}

const distributions = (name: string): Promise<DistributionsShard> =>
  readDistributionsShard(at("distributions", name, "shard-00000.safetensors"));

async function align(pivot: string, source: string, vocabulary: string): Promise<AlignedShard> {
  const out = at("aligned", `${pivot}-${source}-${vocabulary}`);
  const folders = ["--pivot", at("distributions", pivot), "--source", at("distributions", source)];
  await fusechat("align", ...folders, "--out", out, "--vocabulary", vocabulary);
  const { metadata } = await distributions(pivot);
  return readAlignedShard(join(out, "shard-00000.safetensors"), metadata.vocabulary);
}

interface Entry {
  readonly id: number;
  readonly bits: number;
  readonly mass: number;
}

/** The places of one row that hold mass. */
function entries({ topId, topLogp }: Pick<AlignedShard, "topId" | "topLogp">, row: number, width: number): Entry[] {
  return Array.from({ length: width }, (_, k) => {
    const bits = topLogp[row * width + k]!;
    return { id: topId[row * width + k]!, bits, mass: Math.exp(halfToNumber(bits)) };
  }).filter(({ mass }) => mass > 0);
}

const sumOf = (row: readonly Entry[]): number => row.reduce((sum, { mass }) => sum + mass, 0);
const hasToken = ({ id }: Entry): boolean => id < TOKENS;

/** Every row of the pivot, and that of the source that starts at the same byte. */
function sharedRows(aligned: AlignedShard, source: DistributionsShard): { row: number; sourceRow: number }[] {
  const rows: { row: number; sourceRow: number }[] = [];
  aligned.conversation.forEach((conversation, n) => {
    const first = source.rowStart[source.conversation.indexOf(conversation)]!;
    for (let row = aligned.rowStart[n]!; row < aligned.rowStart[n + 1]!; row++) {
      if (aligned.sourceRow[row]! >= 0) rows.push({ row, sourceRow: first + aligned.sourceRow[row]! });
    }
  });
  return rows;
}

describe("distributions", () => {
  test("keep the full softmax, ids of padding included, and no label is one of them", async () => {
    const shard = await distributions("loud");
    const rows = Array.from(shard.token, (_, row) => entries(shard, row, TOP_K));
    expect(rows.filter((row) => !row.every(hasToken)).length).toBeGreaterThan(rows.length / 2);
    expect(rows.filter((row) => !hasToken(row[0]!)).length).toBeGreaterThan(rows.length / 4);
    expect(Math.max(...rows.flat().map(({ id }) => id))).toBeLessThan(HEAD_ROWS);
    expect(Math.max(...rows.map(sumOf))).toBeLessThan(1 + HALF_STEP);
    expect(Math.max(...shard.token)).toBe(END_OF_TURN);
    expect(shard.metadata.vocabulary).toBe(HEAD_ROWS);
  });
});

describe.each(STRATEGIES.map(({ name }) => name))("alignment by %s", (strategy) => {
  test("brings no mass to the padding of the pivot", async () => {
    for (const source of ["mistral", "wide"]) {
      const aligned = await align("loud", source, strategy);
      const stored = await distributions(source);
      for (const { row, sourceRow } of sharedRows(aligned, stored)) {
        const placed = entries(aligned, row, 2 * TOP_K);
        expect(placed.every(hasToken)).toBe(true);
        expect(sumOf(placed)).toBeLessThan(sumOf(entries(stored, sourceRow, TOP_K)) * (1 + HALF_STEP));
      }
    }
  });

  test("leaves the mass of the source's padding in the tail", async () => {
    const stored = await distributions("loud");
    for (const pivot of ["mistral", "wide"]) {
      const aligned = await align(pivot, "loud", strategy);
      for (const { row, sourceRow } of sharedRows(aligned, stored)) {
        const ofTokens = sumOf(entries(stored, sourceRow, TOP_K).filter(hasToken));
        expect(sumOf(entries(aligned, row, 2 * TOP_K))).toBeLessThanOrEqual(ofTokens * (1 + HALF_STEP));
      }
    }
  });
});

test("between models of one tokenizer an exact alignment drops padding and special tokens, and nothing else", async () => {
  const stored = await distributions("wide");
  const aligned = await align("loud", "wide", "exact");
  const rows = sharedRows(aligned, stored);
  expect(rows.length).toBe(aligned.sourceRow.length);
  let dropped = 0;
  for (const { row, sourceRow } of rows) {
    const all = entries(stored, sourceRow, TOP_K);
    const kept = all.filter(({ id }) => id < 406 || id === END_OF_TURN);
    dropped += all.length - kept.length;
    // Of masses that are equal as stored the lower id comes first.
    kept.sort((a, b) => b.mass - a.mass || a.id - b.id);
    expect(entries(aligned, row, 2 * TOP_K)).toEqual(kept);
  }
  expect(dropped).toBeGreaterThan(50);
});

describe("targets of a padded pivot", () => {
  let pair: Pair & { readonly conversations: readonly PairConversation[] };
  let tokens: Uint8Array;
  beforeAll(async () => {
    await align("loud", "mistral", "split");
    const conversations = (await readConversations(DATA)).conversations;
    const options = { model: loud, conversations, pivot: at("distributions/loud") };
    const aligned = at("aligned/loud-mistral-split");
    pair = await readPair({ ...options, aligned, source: at("distributions/mistral"), level: "row" });
    const rendering = await openRendering(options, pair);
    tokens = rendering.hasToken;
    await rendering.dispose();
  });

  const combinations = LEVELS.flatMap((level) =>
    UNSHARED.flatMap((unshared) => TAILS.map((tail) => ({ level, unshared, tail }))),
  );
  test.each(combinations)("have tokens only: $level, $unshared, $tail", ({ level, unshared, tail }) => {
    const function_ = fusionFunction("min-ce");
    const width = targetDistributionWidth(pair, { function: function_, tail });
    let pivotRows = 0;
    for (const conversation of pair.conversations) {
      const rules = { function: function_, level, record: null, unshared, tail, hasToken: tokens, width };
      const targets = buildTargetDistributions(conversation, rules);
      for (let r = 0; r < conversation.pivot.rows; r++) {
        const target = new Map<number, number>();
        let sum = 0;
        for (let k = r * width; k < (r + 1) * width; k++) {
          if (targets.probability[k] === 0) continue;
          target.set(targets.id[k]!, targets.probability[k]!);
          sum += targets.probability[k]!;
        }
        expect(Math.max(-1, ...target.keys())).toBeLessThan(TOKENS);
        const row = conversation.pivot.first + r;
        const own = entries(conversation.pivot.shard, row, TOP_K).filter(hasToken);
        const isPivots = own.length > 0 && own.length === target.size && own.every(({ id }) => target.has(id));
        // Single precision, and ten summands.
        const rounding = 1e-6;
        if (isPivots) {
          pivotRows++;
          const kept = sumOf(own);
          expect(Math.abs(sum - (tail === "renormalise" ? 1 : kept))).toBeLessThan(rounding);
          if (tail === "bucket") expect(Math.abs(targets.tail![r]! - (1 - kept))).toBeLessThan(rounding);
        }
        if (target.size === 0) continue;
        if (tail === "renormalise") expect(Math.abs(sum - 1)).toBeLessThan(rounding);
        if (tail === "bucket") expect(Math.abs(sum + targets.tail![r]! - 1)).toBeLessThan(rounding);
      }
    }
    if (level === "row" || unshared === "pivot") expect(pivotRows).toBeGreaterThan(0);
  });
});

describe("what comes after", () => {
  /** Mean probability of the padding over all rows, as far as the stored top tells. */
  const paddingMass = (shard: DistributionsShard): number => {
    const rows = Array.from(shard.token, (_, row) => sumOf(entries(shard, row, TOP_K).filter((e) => !hasToken(e))));
    return rows.reduce((sum, mass) => sum + mass, 0) / rows.length;
  };

  beforeAll(async () => {
    const model = ["--model", loud, "--data", DATA, "--pivot", at("distributions/loud")];
    const steps = ["--lr", "1e-3", "--epochs", "6", "--batch", "8", "--no-shuffle"];
    for (const source of ["mistral", "wide"]) {
      await align("loud", source, "split");
      const aligned = ["--aligned", at(`aligned/loud-${source}-split`)];
      await fusechat("fuse", ...model, ...aligned, "--out", at("targets", source), ...steps);
    }
  });

  test("training takes mass away from the padding", async () => {
    await fusechat("distributions", "--model", at("targets/wide"), "--data", DATA, "--out", at("distributions/target"));
    const before = paddingMass(await distributions("loud"));
    const after = paddingMass(await distributions("target"));
    expect(before).toBeGreaterThan(0.05);
    expect(after).toBeLessThan(before / 3);
  });

  test("targets merge on their padded pivot", async () => {
    const config = at("merge.json");
    const models = ["mistral", "wide"].map((source) => ({ model: at("targets", source) }));
    await writeJson(config, { merge_method: "sce", base_model: loud, models });
    await fusechat("merge", config, "--out", at("fused"));
    expect((await openModel(at("fused"))).config.vocabularySize).toBe(HEAD_ROWS);
  });

  test("evaluation counts what the padding takes as lost", async () => {
    const result = JSON.parse(await fusechat("evaluate", "held-out", "--model", loud, "--data", DATA, "--json"));
    const manifest = (await readJson(at("distributions/loud/manifest.json"))) as { nats_per_byte: number };
    expect(Math.abs(result.metrics.nats_per_byte.value - manifest.nats_per_byte)).toBeLessThan(1e-4);
  });

  test("a chat never says what has no token", async () => {
    const tokeniser = await openConversationTokeniser(loud, { maxLength: 1000 });
    const engine = await createOnnxEngine({ threads: 2 });
    try {
      const model = await engine.open(loud);
      const { tokenizer } = tokeniser;
      const { ids } = await tokeniser.prompt([{ role: "user", content: "Hello" }]);
      for (const temperature of [0, 1]) {
        const options = { maxTokens: 20, stopIds: [END_OF_TURN], temperature, topP: 1, topK: 0, seed: "padding" };
        const [free] = await model.generate([ids], options);
        expect(Math.max(...free!)).toBeGreaterThanOrEqual(TOKENS);
        const [bound] = await model.generate([ids], { ...options, bannedFrom: tokenizer.size });
        expect(Math.max(...bound!)).toBeLessThan(TOKENS);
        if (temperature > 0) continue;
        const greedy = ["--prompt", "Hello", "--temperature", "0", "--max-tokens", "20"];
        const { answer, answer_tokens } = JSON.parse(await fusechat("chat", loud, ...greedy, "--json"));
        expect([answer, answer_tokens]).toEqual([tokenizer.decode(bound!).trim(), bound!.length]);
      }
    } finally {
      await engine.dispose();
      await tokeniser.dispose();
    }
  });
});
