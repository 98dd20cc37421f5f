import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shareVocabulary } from "#src/align/units/shared-vocabulary.js";
import { openUnitPool, usefulThreads } from "#src/align/units/unit-pool.js";
import type { UnitSetup } from "#src/align/units/unit-work.js";
import { readVocabulary } from "#src/align/vocabulary.js";
import { toyTokenizer } from "../toy-tokenizer.ts";

const vocabulary = shareVocabulary(readVocabulary(toyTokenizer(["a", "<end>", "bc"]), 4));
const setup: UnitSetup = {
  pivotVocabulary: vocabulary,
  sourceVocabulary: vocabulary,
  sequence: "bytes",
  within: "none",
};
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-pool-"));
});
afterAll(() => rm(root, { recursive: true }));

describe.each([1, 2])("a pool of %i", (threads) => {
  test("gives results in the order of the units, whoever is done first", async () => {
    const pool = openUnitPool(setup, threads);
    const results = await pool.each(5, async (_, unit) => {
      await new Promise((resolve) => setTimeout(resolve, 5 * (5 - unit)));
      return unit * unit;
    });
    expect(results).toEqual([0, 1, 4, 9, 16]);
    expect(await pool.all((work) => work.surveyed(null))).toHaveLength(threads);
    await pool.dispose();
  });

  test("throws the first unit's error, with its code, and begins no more units", async () => {
    const pool = openUnitPool(setup, threads);
    const begun: number[] = [];
    const failing = pool.each(9, (work, unit) => {
      begun.push(unit);
      return work.survey({ pivot: join(root, `none-${unit}.safetensors`), sources: [] });
    });
    await expect(failing).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`${join(root, "none-0.safetensors")}: no such file`),
    });
    expect(begun.length).toBeLessThanOrEqual(threads);
    await pool.dispose();
  });
});

test("threads are as many as the work is worth: none but this one for small folders", async () => {
  const paths = await Promise.all(
    [0, 1, 2].map(async (n) => {
      const path = join(root, `file-${n}`);
      await writeFile(path, "small");
      return path;
    }),
  );
  expect(await usefulThreads(paths.map((pivot) => ({ pivot, sources: [] })))).toBe(1);
});
