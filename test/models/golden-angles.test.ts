/** The frequencies and factors of the golden models' rotary positions, as transformers has them. */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { openModel } from "#src/models/index.js";

const GOLDEN = resolve(import.meta.dirname, "../golden/models");

interface Golden {
  readonly rotary: {
    readonly inverse_frequencies: Readonly<Record<string, readonly number[]>>;
    readonly attention_factor: Readonly<Record<string, number>>;
  };
}

/** The name of the table that the config's angles are, and of that for long sequences. */
const TABLES: readonly (readonly [name: string, table: string, long: string | null])[] = [
  ["llama-yarn", "all", null],
  ["qwen2-yarn", "all", null],
  ["phi4-mini", "short", "long"],
  ["gemma3", "full_attention", null],
  ["gemma3_text", "full_attention", null],
  ["glm4", "all", null],
  ["smollm3", "all", null],
  ["internlm3", "all", null],
];

test.each(TABLES)("%s turns by the golden frequencies", async (name, table, long) => {
  const { rotary } = (await openModel(resolve(GOLDEN, name))).config;
  const golden = ((await readJson(resolve(GOLDEN, name, "golden.json"))) as Golden).rotary;
  const expectEqual = (found: Float32Array, expected: readonly number[]): void => {
    expect(found.length).toBe(expected.length);
    // Ours are rounded to single precision at every step, the exponent included: 3.2e-7 seen.
    for (const [i, frequency] of expected.entries()) expect(Math.abs(found[i]! / frequency - 1)).toBeLessThan(6e-7);
  };
  expectEqual(rotary.frequencies, golden.inverse_frequencies[table]!);
  if (long === null) expect(rotary.long).toBe(null);
  else expectEqual(rotary.long!.frequencies, golden.inverse_frequencies[long]!);
  const factor = golden.attention_factor[table] ?? golden.attention_factor.all!;
  expect(rotary.factor).toBeCloseTo(factor, 12);
});
