import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AlignOptions, alignDistributions } from "#src/align/align.js";
import type { AlignmentSummary } from "#src/align/report.js";
import type { AlignedShard } from "#src/align/shard.js";
import { readAlignedShard } from "#src/align/shard-file.js";
import { readVocabulary, type Vocabulary } from "#src/align/vocabulary.js";
import { shardName } from "#src/distributions/folder.js";
import type { DistributionsMetadata, DistributionsShard } from "#src/distributions/shard.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { cutShard } from "../distributions/shard-fixture.ts";

const golden = resolve(import.meta.dirname, "../golden");
const models = join(golden, "models");
let root: string;
let mistral: DistributionsShard;
let qwen2: DistributionsShard;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-align-"));
  mistral = await readDistributionsShard(join(golden, "pipeline/distributions/mistral/shard-00000.safetensors"));
  qwen2 = await readDistributionsShard(join(golden, "pipeline/distributions/qwen2/shard-00000.safetensors"));
});
afterAll(() => rm(root, { recursive: true }));

/** A folder of shards in the test's own place. */
async function folderOf(name: string, ...shards: readonly DistributionsShard[]): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder);
  for (const [index, shard] of shards.entries()) await writeDistributionsShard(join(folder, shardName(index)), shard);
  return folder;
}

function align(out: string, changes: Partial<AlignOptions> = {}): Promise<AlignmentSummary> {
  const options: AlignOptions = {
    pivot: join(golden, "pipeline/distributions/mistral"),
    source: join(golden, "pipeline/distributions/qwen2"),
    out: join(root, out),
    vocabulary: "exact",
    sequence: "bytes",
    width: 10,
    pivotModel: join(models, "mistral"),
    sourceModel: join(models, "qwen2"),
    ...changes,
  };
  return alignDistributions(options, { reporter: silent });
}

const aligned = (out: string, index = 0): Promise<AlignedShard> =>
  readAlignedShard(join(root, out, shardName(index)), 479);

/**
 * Three tokens a row that are the preferred ones of their bytes: special tokens and doubles have another place. The
 * order of a shard is judged before rounding, that of an alignment by the stored values: equal ones go by their ids.
 */
function selfMapped(shard: DistributionsShard, vocabulary: Vocabulary): DistributionsShard {
  const places: number[] = [];
  for (let row = 0; row < shard.token.length; row++) {
    const own = Array.from({ length: 10 }, (_, k) => 10 * row + k)
      .filter((at) => vocabulary.find(vocabulary.bytes(shard.topId[at]!)) === shard.topId[at])
      .slice(0, 3);
    expect(own).toHaveLength(3);
    places.push(...own.sort((a, b) => shard.topLogp[a]! - shard.topLogp[b]! || shard.topId[a]! - shard.topId[b]!));
  }
  return {
    ...shard,
    metadata: { ...shard.metadata, topK: 3 },
    topId: Uint16Array.from(places, (at) => shard.topId[at]!),
    topLogp: Uint16Array.from(places, (at) => shard.topLogp[at]!),
  };
}

describe("an alignment", () => {
  test("does not depend on how either side is cut into shards", async () => {
    await align("whole", { vocabulary: "split", width: 20 });
    const pivot = await folderOf(
      "pivot-cut",
      cutShard(mistral, 0, 1),
      cutShard(mistral, 1, 5),
      cutShard(mistral, 5, 8),
    );
    const source = await folderOf("source-cut", cutShard(qwen2, 0, 3), cutShard(qwen2, 3, 3), cutShard(qwen2, 3, 8));
    await align("cut", { pivot, source, vocabulary: "split", width: 20 });
    const whole = await aligned("whole");
    const parts = await Promise.all([0, 1, 2].map((index) => aligned("cut", index)));
    for (const key of [
      "conversation",
      "sourceRow",
      "topId",
      "topLogp",
      "sourceNats",
      "pivotNats",
      "sourceBytes",
    ] as const) {
      expect([key, parts.flatMap((part) => Array.from(part[key]))]).toEqual([key, Array.from(whole[key])]);
    }
    const report = async (out: string) => readFile(join(root, out, "alignment.json"), "utf8");
    expect(await report("cut")).toBe(await report("whole"));
  });

  test("has the same bytes for every number of threads", async () => {
    const pivot = await folderOf(
      "pivot-threads",
      cutShard(mistral, 0, 1),
      cutShard(mistral, 1, 4),
      cutShard(mistral, 4, 5),
      cutShard(mistral, 5, 8),
    );
    const source = await folderOf("source-threads", cutShard(qwen2, 0, 3), cutShard(qwen2, 3, 8));
    for (const threads of [1, 2, 3]) await align(`threads-${threads}`, { pivot, source, vocabulary: "split", threads });
    const names = (await readdir(join(root, "threads-1"))).sort();
    expect(names).toHaveLength(6);
    for (const threads of [2, 3]) {
      for (const name of names) {
        const other = await readFile(join(root, `threads-${threads}`, name));
        expect([name, other.equals(await readFile(join(root, "threads-1", name)))]).toEqual([name, true]);
      }
    }
  });

  test("leaves conversations that the source refused without a source", async () => {
    const source = await folderOf("refused", cutShard(qwen2, 0, 4), cutShard(qwen2, 6, 8));
    const summary = await align("without", { source });
    expect(summary).toMatchObject({ conversations: 8, shared_conversations: 6 });
    const shard = await aligned("without");
    expect(Array.from(shard.sourceBytes)).toEqual([4, 72, 56, 96, 0, 0, 104, 10]);
    expect([shard.sourceNats[4], shard.sourceNats[5]]).toEqual([0, 0]);
    const rows = shard.sourceRow.subarray(shard.rowStart[4], shard.rowStart[6]);
    expect(new Set(rows)).toEqual(new Set([-1]));
  });

  test.each(["exact", "split", "prefix"])(
    "of a model with itself by %s gives its own distributions back",
    async (name) => {
      const tokenizer = await loadTokenizer(join(models, "mistral"));
      const shard = selfMapped(mistral, readVocabulary(tokenizer, 479));
      const folder = await folderOf(`self-${name}`, shard);
      const summary = await align(`self-${name}-out`, {
        pivot: folder,
        source: folder,
        sourceModel: join(models, "mistral"),
        vocabulary: name,
        width: 3,
      });
      const result = await aligned(`self-${name}-out`);
      let shared = 0;
      for (let n = 0; n < 8; n++) {
        for (let row = shard.rowStart[n]!; row < shard.rowStart[n + 1]!; row++) {
          const ends = tokenizer.isSpecial(shard.token[row]!);
          if (shard.byteStart[row] === shard.byteEnd[row] && !ends) {
            expect(result.sourceRow[row]).toBe(-1);
            continue;
          }
          shared++;
          expect(result.sourceRow[row]).toBe(row - shard.rowStart[n]!);
          for (const key of ["topId", "topLogp"] as const) {
            expect(result[key].subarray(3 * row, 3 * row + 3)).toEqual(shard[key].subarray(3 * row, 3 * row + 3));
          }
        }
      }
      expect(summary).toMatchObject({ shared_rows: shared, mass_lost: 0, mass_cut: 0 });
    },
  );

  test("takes the tokenizers beside the shards, where they are", async () => {
    const pivot = await folderOf("pivot-with", mistral);
    const source = await folderOf("source-with", qwen2);
    for (const [folder, name] of [
      [pivot, "mistral"],
      [source, "qwen2"],
    ] as const) {
      for (const file of ["tokenizer.json", "tokenizer_config.json"])
        await cp(join(models, name, file), join(folder, file));
    }
    const {
      width: _,
      pivotModel: _pivot,
      sourceModel: _source,
      ...options
    } = {
      pivot,
      source,
      out: join(root, "beside"),
      vocabulary: "exact",
      sequence: "bytes",
    } as AlignOptions;
    const summary = await alignDistributions(options, { reporter: silent });
    expect(summary).toMatchObject({ width: 20, shared_rows: 345 });
  });

  test("has the same bytes every time, and shows its work", async () => {
    await align("first");
    await align("second");
    for (const file of await readdir(join(root, "first"))) {
      expect([file, await readFile(join(root, "second", file))]).toEqual([
        file,
        await readFile(join(root, "first", file)),
      ]);
    }
    const report = JSON.parse(await readFile(join(root, "first/alignment.json"), "utf8"));
    expect(report.strategies.exact.mass_kept).toBeCloseTo(report.mass_kept, 12);
    expect(report.mass_kept + report.mass_lost).toBeCloseTo(report.mass_stored, 12);
    expect(report.examples).toHaveLength(20);
    for (const { stored, mapped, turn } of report.examples) {
      expect(turn % 2).toBeLessThanOrEqual(1);
      const sum = (list: { probability: number }[]): number =>
        list.reduce((total, { probability }) => total + probability, 0);
      expect(sum(mapped)).toBeLessThanOrEqual(sum(stored) + 1e-3);
    }
  });

  test("run again in its folder is made again; interrupted it is not taken for finished", async () => {
    await align("twice");
    expect((await align("twice")).rows).toBe(367);
    await expect(align("twice", { width: 5 })).rejects.toThrow(
      `${join(root, "twice")}: belongs to other settings: "width" is 10 there and 5 here`,
    );
    const interrupt = new AbortController();
    const reporter = { report: (event: ReporterEvent) => void (event.type === "progress" && interrupt.abort()) };
    const options = {
      pivot: join(golden, "pipeline/distributions/mistral"),
      source: join(golden, "pipeline/distributions/qwen2"),
    };
    const interrupted = alignDistributions(
      {
        ...options,
        out: join(root, "interrupted"),
        vocabulary: "exact",
        sequence: "bytes",
        pivotModel: join(models, "mistral"),
        sourceModel: join(models, "qwen2"),
      },
      { reporter, signal: interrupt.signal },
    );
    await expect(interrupted).rejects.toMatchObject({ exitCode: 130 });
    expect(await readdir(root)).not.toContain("interrupted");
  });
});

describe("where something is left out of a response, rows are shared", () => {
  let whole: AlignedShard;
  let sharedRows: number;
  beforeAll(async () => {
    sharedRows = (await align("left-out-of-none")).shared_rows;
    whole = await aligned("left-out-of-none");
  });

  /** The shard with entries of what is left out: from a row of a conversation on, a hash. */
  const without = (shard: DistributionsShard, entries: readonly (readonly [number, number, bigint])[]) => ({
    ...shard,
    leftOutRow: Int32Array.from(entries, ([n, row]) => shard.rowStart[n]! + row),
    leftOut: BigInt64Array.from(entries, ([, , hash]) => hash),
  });

  /** The rows of the pivot, by conversation, that are no longer shared; all others are as before. */
  async function unshared(name: string, pivot: DistributionsShard, source: DistributionsShard) {
    const summary = await align(name, {
      pivot: await folderOf(`${name}-pivot`, pivot),
      source: await folderOf(`${name}-source`, source),
    });
    const { sourceRow, rowStart } = await aligned(name);
    const found: [number, number][] = [];
    for (let n = 0; n < 8; n++) {
      for (let row = rowStart[n]!; row < rowStart[n + 1]!; row++) {
        if (sourceRow[row] === whole.sourceRow[row]) continue;
        expect(sourceRow[row]).toBe(-1);
        found.push([n, row - rowStart[n]!]);
      }
    }
    expect(summary.shared_rows).toBe(sharedRows - found.length);
    return found;
  }

  /** Shared rows `from .. to-1` of a conversation of the pivot. */
  const shared = (n: number, from: number, to: number): [number, number][] =>
    Array.from({ length: to - from }, (_, row): [number, number] => [n, from + row]).filter(
      ([, row]) => whole.sourceRow[whole.rowStart[n]! + row] !== -1,
    );

  test("by both where both have left out the same", async () => {
    expect(await unshared("same", without(mistral, [[1, 0, 7n]]), without(qwen2, [[1, 0, 7n]]))).toEqual([]);
  });

  test("by neither where one has, from that row on to the end of the turn", async () => {
    const rows = shared(1, 5, 42);
    expect(rows).toHaveLength(35);
    expect(await unshared("pivot-only", without(mistral, [[1, 5, 7n]]), qwen2)).toEqual(rows);
    // Conversation 4 is answered in turns 2, 4 and 6; the first has 14 rows of the pivot's.
    expect(await unshared("source-only", mistral, without(qwen2, [[4, 0, 7n]]))).toEqual(shared(4, 0, 14));
  });

  test("by neither where they have left out different things, up to where that ends", async () => {
    const pivot = without(mistral, [
      [1, 0, 7n],
      [1, 20, 0n],
      [3, 0, 9n],
    ]);
    const source = without(qwen2, [
      [1, 0, 8n],
      [1, 20, 0n],
      [3, 0, 9n],
    ]);
    // Row 20 of the pivot is the source's row 20.
    expect(whole.sourceRow[whole.rowStart[1]! + 20]).toBe(20);
    expect(await unshared("different", pivot, source)).toEqual(shared(1, 0, 20));
  });
});

describe("shards that do not belong together are refused:", () => {
  const refused = async (name: string, change: (shard: DistributionsShard) => void): Promise<unknown> => {
    const shard = structuredClone(qwen2);
    change(shard);
    const source = await folderOf(name, shard);
    const error: unknown = await align(`${name}-out`, { source }).catch((caught: unknown) => caught);
    expect(await readdir(root)).not.toContain(`${name}-out`);
    return error instanceof Error ? error.message.replace(source, "SOURCE") : error;
  };
  test("another conversation of the same number, though its rows are alike", async () => {
    const message = await refused("hash", ({ conversationSha256 }) => conversationSha256.fill(0xab, 32, 64));
    const own = Buffer.from(mistral.conversationSha256).toString("hex", 32, 38);
    expect(message).toBe(
      "SOURCE/shard-00000.safetensors: conversation 1 is abababababab…, " +
        `and ${own}… for the pivot; the two folders were made from different data`,
    );
  });

  test("an end of turn that is not the last row of its turn", async () => {
    const message = await refused("end", ({ endOfTurn }) => endOfTurn.fill(1, 0, 1));
    expect(message).toBe(
      'SOURCE/shard-00000.safetensors: tensor "end_of_turn": expected the last rows of turns, with empty spans, found row 1',
    );
  });

  const PIVOT = join(golden, "pipeline/distributions/mistral");
  const withMetadata = (shard: DistributionsShard, changes: Partial<DistributionsMetadata>): void =>
    void Object.assign(shard, { metadata: { ...shard.metadata, ...changes } });

  test("prompts of another day", async () => {
    const message = await refused("date", (shard) => withMetadata(shard, { date: "2025-02-01" }));
    expect(message).toBe(
      `SOURCE: was collected with the date 2025-02-01, and ${PIVOT} with 2025-01-01; collect one of them again`,
    );
  });

  test("a pivot's template that is not this pivot's, while a source's own may be any", async () => {
    const message = await refused("template", (shard) => withMetadata(shard, { template: "pivot" }));
    expect(message).toBe(
      `SOURCE: was collected with another pivot's chat template (1b30302891ed) than that of ${PIVOT} (901b10d47195); collect it again`,
    );
    const { templateSha256, specialTokensSha256 } = mistral.metadata;
    const source = await folderOf("pivots-template", {
      ...qwen2,
      metadata: { ...qwen2.metadata, template: "pivot", templateSha256, specialTokensSha256 },
    });
    expect((await align("pivots-template-out", { source })).shared_rows).toBe(345);
  });

  test("other conversations altogether", async () => {
    const message = await refused("other", ({ conversation }) =>
      conversation.forEach((n, i) => {
        conversation[i] = n + 8;
      }),
    );
    expect(message).toBe(
      `SOURCE: has none of the conversations of ${join(golden, "pipeline/distributions/mistral")}; both must come from the same data`,
    );
  });

  test("a lead longer than its label", async () => {
    const message = await refused("lead", ({ lead }) => lead.fill(9, 10, 11));
    expect(message).toMatch(
      /^SOURCE\/shard-00000\.safetensors: tensor "lead": row 10 has a lead of 9 bytes, its token \d+ has \d/,
    );
  });

  test("collections of different data, by their settings", async () => {
    const pivot = await folderOf("settings-pivot", mistral);
    const source = await folderOf("settings-source", qwen2);
    for (const [folder, hash] of [
      [pivot, "1"],
      [source, "2"],
    ] as const) {
      await writeFile(join(folder, "settings.json"), JSON.stringify({ conversations_sha256: hash }));
      await writeFile(join(folder, "manifest.json"), "{}");
    }
    await expect(align("settings-out", { pivot, source })).rejects.toThrow(
      `${source}: was made from other conversations than ${pivot}; both must come from the same data`,
    );
  });

  test("an older version, and a shard cut short", async () => {
    const source = await folderOf("version", qwen2);
    const path = join(source, shardName(0));
    const bytes = await readFile(path);
    const at = bytes.indexOf("fusechat-distributions-2") + "fusechat-distributions-".length;
    bytes[at] = "1".charCodeAt(0);
    await writeFile(path, bytes);
    await expect(align("version-out", { source })).rejects.toThrow(
      `${path}: expected a shard of format "fusechat-distributions-2", found "fusechat-distributions-1"; ` +
        "it was written by another version of fusechat, make it again with this one",
    );
    await writeFile(path, bytes.subarray(0, bytes.length - 100));
    await expect(align("version-out", { source })).rejects.toMatchObject({ exitCode: 2 });
  });

  test.each<[string, (shard: DistributionsShard) => void, string]>([
    [
      "a log-probability that is not a number",
      ({ topLogp }) => topLogp.fill(0x7e00, 20, 21),
      'tensor "top_logp": row 2 has a log-probability that is not a number',
    ],
    [
      "a probability above one",
      ({ topLogp }) => topLogp.fill(0x3800, 10, 11),
      'tensor "top_logp": row 1 has the log-probability 0.5, a probability above one',
    ],
    [
      "probabilities that together are above one",
      ({ topLogp }) => topLogp.fill(0xb800, 10, 20),
      'tensor "top_logp": the probabilities of row 1 add up to 6.065, more than one',
    ],
    [
      "ascending probabilities",
      ({ topLogp }) => topLogp.set([topLogp[19]!, topLogp[10]!], 10),
      'tensor "top_logp": expected descending values, row 1 has -1.5107421875 after -4.44921875',
    ],
    ["one token twice", ({ topId }) => topId.copyWithin(11, 10, 11), 'tensor "top_id": row 1 has id 204 twice'],
    [
      "a token that the vocabulary does not have",
      ({ topId }) => topId.fill(60_000, 11, 12),
      'tensor "top_id": row 1 has id 60000, the vocabulary ends at 417',
    ],
  ])("%s", async (name, change, problem) => {
    const message = await refused(name.replaceAll(" ", "-"), change);
    expect(message).toBe(`SOURCE/shard-00000.safetensors: ${problem}`);
  });

  test("a tokenizer other than the shards were made with", async () => {
    await expect(align("tokenizer", { sourceModel: join(models, "gemma2") })).rejects.toThrow(
      /gemma2\/tokenizer\.json: is not the tokenizer that the shards in .* were made with \(SHA-256 e09e213c9d71…, expected 9d611f341a84…\)$/,
    );
  });

  test("a vocabulary without byte forms", async () => {
    const source = await folderOf("wordpiece", qwen2);
    const tokenizer = JSON.parse(await readFile(join(models, "qwen2/tokenizer.json"), "utf8"));
    tokenizer.model = { type: "WordPiece", unk_token: "[UNK]", vocab: tokenizer.model.vocab };
    await writeFile(join(source, "tokenizer.json"), JSON.stringify(tokenizer));
    const options: AlignOptions = {
      pivot: join(golden, "pipeline/distributions/mistral"),
      source,
      out: join(root, "wordpiece-out"),
      vocabulary: "split",
      sequence: "bytes",
      pivotModel: join(models, "mistral"),
    };
    await expect(alignDistributions(options, { reporter: silent })).rejects.toThrow(
      "a WordPiece model is not supported: only BPE models say which bytes a token stands for",
    );
  });

  test("a width that is none", async () => {
    await expect(align("width", { width: 0 })).rejects.toThrow("align: expected a width of 1 to 65535, found 0");
  });
});
