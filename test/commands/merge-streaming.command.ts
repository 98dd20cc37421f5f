/** Threads, interruptions and space: whatever happens on the way, the bytes are the same or nothing is there. */
import { spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256OfFile } from "#src/formats/files.js";
import { float32ToBfloat16 } from "#src/formats/float.js";
import { type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import type { MergeConfig } from "#src/merge/config.js";
import { mergeModels } from "#src/merge/merge.js";
import { createRandom } from "#src/random.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { failOnce } from "../formats/failing-disk.ts";

const NAMES = ["base", "one", "two", "three"];
const SHAPES = [[700, 300], [5000], [40, 20, 30], [1, 7], [0, 4], [300, 500], [], [900, 100]];
/** Two of the largest tensor to a shard at most. */
const SHARD_BYTES = 700_000;

let folder: string;
let number = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-merge-streaming-"));
  for (const name of NAMES) await writeModel(name, SHAPES);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The first three tensors in bfloat16, the others in float32. */
async function writeModel(
  name: string,
  shapes: readonly (readonly number[])[],
  bad: readonly number[] = [],
): Promise<void> {
  const random = createRandom(name);
  const tensors = shapes.map((shape, t): [string, Tensor] => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    const values = Float32Array.from({ length: size }, (_, i) => Math.sin(i) / 50 + random.next() / 1000);
    if (bad.includes(t)) values[3] = Number.NaN;
    const tensor =
      t < 3 ? { dtype: "BF16" as const, data: float32ToBfloat16(values) } : { dtype: "F32" as const, data: values };
    return [`layers.${t}.weight`, { shape, ...tensor }];
  });
  await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, name, "config.json"), JSON.stringify({ model_type: "any" }));
  await writeSafetensors(join(folder, name, "model.safetensors"), tensors);
}

function configOf(method: string, parameters: Record<string, unknown>): MergeConfig {
  const models = NAMES.slice(1).map((model) => ({ model }));
  const base = method === "linear" ? {} : { base_model: "base" };
  return { merge_method: method, models, ...base, parameters } as MergeConfig;
}

const CONFIGS: Record<string, MergeConfig> = {
  ties: configOf("ties", { weight: 0.4, density: 0.5 }),
  sce: configOf("sce", { select_topk: 0.2 }),
  della: configOf("della", { weight: 0.5, density: 0.5 }),
  dare_linear: configOf("dare_linear", { weight: 0.5, density: 0.5 }),
};

async function merge(config: MergeConfig, options: { threads?: number; shardBytes?: number; signal?: AbortSignal }) {
  const { signal, ...rest } = options;
  const out = join(folder, `out-${number++}`);
  const context = { reporter: silent, ...(signal && { signal }) };
  const summary = await mergeModels(config, { out, baseFolder: folder, ...rest }, context);
  return { out, summary };
}

async function hashes(out: string): Promise<Record<string, string>> {
  const names = (await readdir(out)).sort();
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await sha256OfFile(join(out, name))])));
}

describe("threads", () => {
  test.each(Object.entries(CONFIGS))("%s gives the same bytes with 1, 2 and 3", async (_, config) => {
    const one = await hashes((await merge(config, { threads: 1, shardBytes: SHARD_BYTES })).out);
    expect(Object.keys(one).filter((name) => name.endsWith(".safetensors")).length).toBeGreaterThan(2);
    for (const threads of [2, 3]) {
      expect(await hashes((await merge(config, { threads, shardBytes: SHARD_BYTES })).out)).toEqual(one);
    }
  });

  test("of several errors it is the same one with 1, 2 and 3, and nothing is left", async () => {
    await writeModel("bad", SHAPES, [1, 2, 7]);
    const config = { ...configOf("linear", { weight: 1 }), models: [{ model: "one" }, { model: "bad" }] };
    const before = await readdir(folder);
    const where = join(folder, "bad/model.safetensors");
    for (const threads of [1, 2, 3]) {
      await expect(merge(config, { threads })).rejects.toMatchObject({
        exitCode: 2,
        message: `${where}: "layers.7.weight": expected finite weights, found NaN or infinity at [0, 3]; look for another copy of the model, or merge with --repair`,
      });
    }
    expect(await readdir(folder)).toEqual(before);
  });

  test("progress counts the inputs' bytes, as they are hashed and as they are merged", async () => {
    const events: ReporterEvent[] = [];
    const out = join(folder, `out-${number++}`);
    const context = { reporter: { report: (event: ReporterEvent) => void events.push(event) } };
    await mergeModels(CONFIGS.sce!, { out, baseFolder: folder, threads: 2 }, context);
    // 4 models of 0.21 + 0.005 + 0.024 M entries in bfloat16, 0.24 M in float32: 5.7 MB.
    for (const stage of ["merge inputs", "merge"]) {
      const own = events.filter((event) => event.stage === stage);
      expect(own[0]).toEqual({ type: "start", stage, total: 6, unit: "MB" });
      const last = own.filter(({ type }) => type === "progress").at(-1);
      expect(last).toEqual({ type: "progress", stage, done: 6, total: 6, unit: "MB" });
    }
  });
});

describe("an interrupted merge", () => {
  /** So many that the first is recorded long before the last is begun. */
  const MANY = Array.from({ length: 60 }, () => [100, 300]);
  const many = { ...configOf("sce", { select_topk: 0.2 }), models: [{ model: "many-1" }, { model: "many-2" }] };
  const config: MergeConfig = { ...many, base_model: "many-base" };
  beforeAll(async () => {
    for (const name of ["many-base", "many-1", "many-2"]) await writeModel(name, MANY);
  });

  test.each([
    [1, SHARD_BYTES],
    [2, SHARD_BYTES],
    [1, 5e9],
    [2, 5e9],
  ])("goes on from its finished tensors, %i thread(s), shards of %d bytes", async (threads, shardBytes) => {
    const whole = await hashes((await merge(config, { shardBytes })).out);
    const out = join(folder, `out-${number++}`);
    const controller = new AbortController();
    const options = { out, baseFolder: folder, shardBytes, threads };
    // Asked at every report, so that no tensor is begun after the first is recorded.
    const report = (): void => {
      const temporary = `${out}.${process.pid}.tmp`;
      const names = existsSync(temporary) ? readdirSync(temporary) : [];
      if (names.some((name) => name.endsWith(".safetensors.json"))) controller.abort();
    };
    const merging = mergeModels(config, options, { reporter: { report }, signal: controller.signal });
    await expect(merging).rejects.toMatchObject({ exitCode: 130 });
    const { tensors_kept: kept } = await mergeModels(config, options, { reporter: silent });
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThan(MANY.length);
    expect(await hashes(out)).toEqual(whole);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  test("whose input changed begins anew", async () => {
    const controller = new AbortController();
    const out = join(folder, `out-${number++}`);
    const options = { out, baseFolder: folder, shardBytes: SHARD_BYTES, threads: 1 };
    const config = { ...configOf("linear", { weight: 1 }), models: [{ model: "one" }, { model: "other" }] };
    await writeModel("other", SHAPES);
    const stop = {
      report: ({ type }: ReporterEvent) => void (type === "progress" && ++seen > 5 && controller.abort()),
    };
    let seen = 0;
    await expect(mergeModels(config, options, { reporter: stop, signal: controller.signal })).rejects.toMatchObject({
      exitCode: 130,
    });
    await writeModel("other", SHAPES);
    const { tensors_kept: kept } = await mergeModels(config, options, { reporter: silent });
    expect(kept).toBe(0);
  });

  test.each(["1MB", "5GB"])("by SIGKILL goes on too, with the same bytes, in shards of %s", async (shardSize) => {
    const shapes = Array.from({ length: 10 }, () => [350, 1000]);
    for (const name of ["long-base", "long-1", "long-2"]) await writeModel(name, shapes);
    const yaml = join(folder, "long.yaml");
    await writeFile(
      yaml,
      "merge_method: ties\nbase_model: long-base\nparameters: {weight: 0.5, density: 0.4}\n" +
        "models: [{model: long-1}, {model: long-2}]\n",
    );
    const main = resolve(import.meta.dirname, "../../dist/cli/main.js");
    const run = (out: string) =>
      spawn(process.execPath, [main, "merge", yaml, "--out", out, "--shard-size", shardSize], { stdio: "pipe" });
    const ended = (child: ReturnType<typeof run>): Promise<{ code: number | null; stdout: string }> =>
      new Promise((done) => {
        let stdout = "";
        child.stdout.on("data", (text) => {
          stdout += text;
        });
        child.on("close", (code) => done({ code, stdout }));
      });
    const undisturbed = join(folder, `undisturbed-${shardSize}`);
    expect((await ended(run(undisturbed))).code).toBe(0);

    const out = join(folder, `killed-${shardSize}`);
    const victim = run(out);
    const end = ended(victim);
    for (;;) {
      const names = await readdir(`${out}.${victim.pid}.tmp`).catch((): string[] => []);
      if (names.some((name) => name.endsWith(".safetensors.json")) || victim.exitCode !== null) break;
      await new Promise((done) => setTimeout(done, 2));
    }
    victim.kill("SIGKILL");
    expect((await end).code).toBe(null);
    const again = await ended(run(out));
    expect(again.code).toBe(0);
    expect(again.stdout).toMatch(/; \d+ finished before were kept/);
    expect(await hashes(out)).toEqual(await hashes(undisturbed));
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

test("a tensor that could not be flushed, which the system tells once, is an error of the merge", async () => {
  const before = await readdir(folder);
  await failOnce("datasync", "EIO");
  await expect(merge(CONFIGS.sce!, { threads: 1 })).rejects.toMatchObject({
    exitCode: 1,
    message: expect.stringMatching(/\.tmp\/model\.safetensors: the disk could not be read or written$/),
  });
  expect(await readdir(folder)).toEqual(before);
});

test("a merge that the disk has no room for is refused before anything is written", async () => {
  // A file of 4 TB that takes a few bytes: its tensor is a hole.
  const path = join(folder, "huge/model.safetensors");
  await mkdir(join(folder, "huge"), { recursive: true });
  const bytes = 4e12;
  const json = JSON.stringify({ a: { dtype: "BF16", shape: [bytes / 2], data_offsets: [0, bytes] } }).padEnd(80);
  const header = Buffer.alloc(88);
  header.writeBigUInt64LE(80n);
  header.write(json, 8);
  const file = await open(path, "w");
  await file.write(header);
  await file.truncate(88 + bytes);
  await file.close();
  await writeFile(join(folder, "huge/config.json"), "{}");
  const before = await readdir(folder);
  const config = { ...configOf("linear", { weight: 1 }), models: [{ model: "huge" }] };
  await expect(merge(config, {})).rejects.toThrow(
    /out-\d+: expected 4000\.1 GB of free disk for the merged model, found [\d.]+ GB; free some space$/,
  );
  expect(await readdir(folder)).toEqual(before);
  await rm(path);
});
