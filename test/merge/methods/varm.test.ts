/** VaRM's granularities on models of two layers, against the formula. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readJson } from "#src/formats/files.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { mergeModels } from "#src/merge/merge.js";
import { type ReporterEvent, silent } from "#src/reporter.js";

/** Updates of the two targets, by tensor. */
const UPDATES: Readonly<Record<string, readonly [readonly number[], readonly number[]]>> = {
  "model.embed_tokens.weight": [
    [0, 0, 0],
    [0, 1, 0],
  ],
  "model.layers.0.mlp.weight": [
    [1, 0, 2, 0],
    [0, 0, 1, 0],
  ],
  "model.layers.0.norm.weight": [[0], [3]],
  "model.layers.1.mlp.weight": [
    [2, 0, 0, 0],
    [0, 2, 0, 0],
  ],
};

let folder: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-varm-"));
  for (const [index, name] of ["base", "one", "two"].entries()) {
    const tensors = Object.entries(UPDATES).map(([tensor, updates]): [string, Tensor] => {
      const data = Float32Array.from(updates[0]!, (_, i) => 10 + (index === 0 ? 0 : updates[index - 1]![i]!));
      return [tensor, { dtype: "F32", shape: [data.length], data }];
    });
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "config.json"), "{}");
    await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function merge(granularity: string, threads = 1, report: (event: ReporterEvent) => void = silent.report) {
  const out = join(folder, `out-${number++}`);
  const config = {
    merge_method: "varm",
    base_model: "base",
    models: [{ model: "one" }, { model: "two" }],
    parameters: { granularity },
  };
  await mergeModels(config, { out, baseFolder: folder, threads }, { reporter: { report } });
  const { tensors } = await readSafetensors(join(out, "model.safetensors"));
  const record = (await readJson(join(out, "merge.json"))) as {
    tensors: { name: string; coefficients?: number[] }[];
  };
  return {
    updates: Object.fromEntries([...tensors].map(([name, { data }]) => [name, [...data].map((x) => Number(x) - 10)])),
    shares: Object.fromEntries(record.tensors.map(({ name, coefficients }) => [name, coefficients?.[0]])),
  };
}

function energy(updates: readonly number[]): number {
  return updates.reduce((sum, update) => sum + update * update, 0);
}

/** The first target's share of the energy of the tensors whose names have that beginning. */
function share(beginning: string): number {
  const own = Object.entries(UPDATES).filter(([name]) => name.startsWith(beginning));
  const [a, b] = [0, 1].map((target) => own.reduce((sum, [, updates]) => sum + energy(updates[target]!), 0));
  return a! / (a! + b!);
}

describe("the share of a target is its part of the squared updates of", () => {
  test.each([
    ["model", () => ""],
    ["layer", (name: string) => /^model\.layers\.\d\./.exec(name)?.[0] ?? name],
    ["matrix", (name: string) => name],
  ])("every %s", async (granularity, unitOf) => {
    const { updates, shares } = await merge(granularity);
    for (const [name, [one, two]] of Object.entries(UPDATES)) {
      const first = share(unitOf(name));
      expect(shares[name]).toBeCloseTo(first, 14);
      updates[name]!.forEach((update, i) => {
        // Weights of 10 in float32.
        expect(update).toBeCloseTo(first * one[i]! + (1 - first) * two[i]!, 5);
      });
    }
  });

  test("every parameter, where entries that nobody moved stay", async () => {
    const { updates } = await merge("parameter");
    // 2^2 and 1^2: four fifths of 2 and a fifth of 1.
    expect(updates["model.layers.0.mlp.weight"]![2]).toBeCloseTo(1.8, 5);
    expect(updates["model.layers.0.mlp.weight"]![3]).toBe(0);
  });
});

test("the model is read once before it is merged, and threads change nothing", async () => {
  const events: ReporterEvent[] = [];
  const one = await merge("layer", 1, (event) => void events.push(event));
  expect(events.filter(({ type }) => type === "start").map(({ stage }) => stage)).toEqual([
    "merge survey",
    "merge inputs",
    "merge",
  ]);
  expect(await merge("layer", 3)).toEqual(one);
});
