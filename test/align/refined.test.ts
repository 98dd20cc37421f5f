/** `label_mass` and `divide` through the whole stage, on the golden pipeline's distributions. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AlignOptions, alignDistributions } from "#src/align/align.js";
import { labelTokens } from "#src/align/label-mass.js";
import { rowSpans } from "#src/align/sequence.js";
import { readAlignedShard } from "#src/align/shard-file.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import { halfToNumber } from "#src/formats/float.js";
import { readSafetensorsHeader } from "#src/formats/safetensors.js";
import { silent } from "#src/reporter.js";
import { loadTokenizer } from "#src/tokenizer/load.js";

const golden = resolve(import.meta.dirname, "../golden");
const folders = {
  pivot: join(golden, "pipeline/distributions/mistral"),
  source: join(golden, "pipeline/distributions/qwen2"),
};
const models = { pivotModel: join(golden, "models/mistral"), sourceModel: join(golden, "models/qwen2") };
const SHARD = "shard-00000.safetensors";
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-refined-"));
});
afterAll(() => rm(root, { recursive: true }));

async function align(out: string, changes: Partial<AlignOptions>) {
  const folder = join(root, out);
  const options = { ...folders, ...models, out: folder, vocabulary: "split", sequence: "bytes", ...changes };
  const summary = await alignDistributions(options, { reporter: silent });
  const shard = await readAlignedShard(join(folder, SHARD), 479);
  const { metadata } = await readSafetensorsHeader(join(folder, SHARD));
  return { folder, summary, shard, metadata };
}

/** [rows] of one side, with their roles. */
async function side(name: "pivot" | "source") {
  const shard = await readDistributionsShard(join(folders[name], SHARD));
  const tokenizer = await loadTokenizer(models[`${name}Model`]);
  return { shard, spans: rowSpans(shard, readVocabulary(tokenizer, shard.metadata.vocabulary)) };
}

describe("label_mass: chain", () => {
  test("gives the pivot's label the product of the source's own label probabilities", async () => {
    const { shard: aligned, summary } = await align("chain", { labelMass: "chain", width: 40 });
    const [pivot, source] = [await side("pivot"), await side("source")];
    const tiled = new Map<number, number>();
    for (let n = 0; n < aligned.conversation.length; n++) {
      const to = source.shard.rowStart[n + 1]!;
      for (let row = aligned.rowStart[n]!; row < aligned.rowStart[n + 1]!; row++) {
        if (aligned.sourceRow[row] === -1) continue;
        const there = source.shard.rowStart[n]! + aligned.sourceRow[row]!;
        const tokens = labelTokens(pivot.spans, row, source.spans, there, to);
        if (tokens === 0) continue;
        tiled.set(tokens, (tiled.get(tokens) ?? 0) + 1);
        const q = Math.exp(source.shard.labelLogp.subarray(there, there + tokens).reduce((sum, logp) => sum + logp, 0));
        let mass = 0;
        for (let k = 40 * row; k < 40 * (row + 1); k++) {
          if (aligned.topId[k] === pivot.shard.token[row] && aligned.topLogp[k] !== 0xfc00) {
            mass = Math.exp(halfToNumber(aligned.topLogp[k]!));
          }
        }
        // Other tokens of the source may bring more; a float16 logarithm has three digits.
        if (mass > 0) expect(Math.log(mass)).toBeGreaterThan(1.001 * Math.log(q) - 1e-3);
        else expect(q).toBeLessThan(0.01);
      }
    }
    expect([...tiled.keys()].sort()).toEqual(expect.arrayContaining([1, 2]));
    expect(summary.mass_kept + summary.mass_lost).toBeCloseTo(summary.mass_stored, 12);
    expect(summary.mass_stored).toBeLessThanOrEqual(1.001);
  });
});

describe("within: conditional", () => {
  test("gives rows within tokens of the source a distribution, and leaves others but for spaces as they are", async () => {
    const { shard, summary } = await align("within", { labelMass: "chain", divide: "pivot", within: "conditional" });
    const pivot = (await side("pivot")).spans;
    const { shard: without } = await align("not-within", { labelMass: "chain", divide: "pivot" });
    const width = summary.width;
    let [told, begun, sum] = [0, 0, 0];
    const spaced: number[] = [];
    for (let row = 0; row < shard.sourceRow.length; row++) {
      const places = (of: Uint16Array | Uint32Array) => of.subarray(row * width, (row + 1) * width);
      if (shard.sourceRow[row] !== without.sourceRow[row]) {
        // A space that the template's response begins with.
        expect(without.sourceRow[row]).toBe(-1);
        expect(row === 0 || pivot.endOfTurn[row - 1] === 1).toBe(true);
        begun++;
        continue;
      }
      if (shard.withinRow![row] === -1) {
        if (places(shard.topLogp).join() !== places(without.topLogp).join()) spaced.push(row);
        continue;
      }
      expect(shard.sourceRow[row]).toBe(-1);
      told++;
      for (const logp of places(shard.topLogp)) sum += Math.exp(halfToNumber(logp));
    }
    const { spans: source, shard: its } = await side("source");
    const isSpace = (token: Uint8Array) => Buffer.from(token).toString().trim() === "";
    for (const row of spaced) {
      const before = pivot.bytes(pivot.token[row - 1]!);
      const conversation = shard.rowStart.findIndex((start) => start > row) - 1;
      const there = source.bytes(source.token[its.rowStart[conversation]! + shard.sourceRow[row]!]!);
      expect([before, there].some(isSpace), `row ${row}`).toBe(true);
    }
    expect(spaced).toHaveLength(67);
    expect(summary.rows_within_tokens).toBe(told);
    expect([told, begun, summary.unshared_rows]).toEqual([14, 6, 16]);
    // Of each row all that goes on is there, but for places without a token; half precision adds up to a part in a thousand.
    expect(sum / told).toBeGreaterThan(0.98);
    expect(sum / told).toBeLessThan(1.001);
  });
});

describe("what a folder tells of its refinements", () => {
  test("is nothing by default, whether the options are named or not", async () => {
    const plain = await align("plain", {});
    const named = await align("named", { labelMass: "none", divide: "counts" });
    expect(Object.keys(plain.metadata)).toEqual(["format", "pivot", "source", "sequence", "vocabulary"]);
    expect(Object.keys(plain.summary)).not.toContain("label_mass");
    expect(await readFile(join(named.folder, SHARD))).toEqual(await readFile(join(plain.folder, SHARD)));
    expect(named.summary).toEqual(plain.summary);
  });

  test("is in the shards, the settings and alignment.json, and changes rows", async () => {
    const both = await align("both", { labelMass: "chain", divide: "pivot" });
    expect(both.metadata).toMatchObject({ vocabulary: "split", label_mass: "chain", divide: "pivot" });
    expect(both.shard.metadata).toMatchObject({ label_mass: "chain", divide: "pivot" });
    expect(both.summary).toMatchObject({ label_mass: "chain", divide: "pivot" });
    const settings = JSON.parse(await readFile(join(both.folder, "settings.json"), "utf8"));
    expect(settings).toMatchObject({ label_mass: "chain", divide: "pivot" });
    const plain = await align("unrefined", {});
    expect(both.shard.sourceRow).toEqual(plain.shard.sourceRow);
    expect(both.shard.topLogp).not.toEqual(plain.shard.topLogp);
    const divided = await align("divided", { divide: "pivot" });
    // Dividing moves mass between places of one token and loses none; only the width cuts.
    expect(divided.summary.mass_kept).toBeCloseTo(plain.summary.mass_kept, 9);
    expect(divided.summary.mass_stored).toBeCloseTo(plain.summary.mass_stored, 9);
  });

  test("keeps a folder from being continued in another way", async () => {
    await align("begun", { labelMass: "chain" });
    await expect(align("begun", {})).rejects.toThrow('belongs to other settings: "label_mass" is "chain" there');
    await expect(align("begun", { labelMass: "chain", divide: "pivot" })).rejects.toThrow(
      '"divide" is nothing there and "pivot" here',
    );
  });
});

test("unknown names are refused before anything is written", async () => {
  await expect(align("unknown", { labelMass: "path" })).rejects.toThrow(
    'unknown label mass "path"; expected none, chain',
  );
  await expect(align("unknown", { divide: "evenly" })).rejects.toThrow(
    'unknown division "evenly"; expected counts, pivot',
  );
  await expect(readFile(join(root, "unknown", "settings.json"))).rejects.toThrow("ENOENT");
});
