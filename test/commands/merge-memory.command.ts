/** Memory follows neither the number of layers nor that of the models' bytes. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSafetensorsWriter } from "#src/formats/safetensors.js";

/** [1024, 1024] in bfloat16. */
const MATRIX_BYTES = 2 ** 21;
const FEW = 4;
const MANY = 24;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-peak-memory-"));
  for (const layers of [FEW, MANY]) {
    for (const [index, name] of ["base", "one", "two"].entries()) await writeModel(`${layers}/${name}`, index, layers);
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function writeModel(name: string, index: number, layers: number): Promise<void> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "config.json"), "{}");
  const entries = Array.from({ length: layers }, (_, layer) => ({
    name: `layers.${layer}.weight`,
    dtype: "BF16" as const,
    shape: [1024, 1024],
  }));
  const writer = await openSafetensorsWriter(join(path, "model.safetensors"), entries, {});
  // Patterns around 0.01, another stretch for every model.
  const patterns = Uint16Array.from({ length: MATRIX_BYTES / 2 }, (_, i) => 0x3c00 + (((i + index) * 7919) % 97));
  for (let layer = 0; layer < layers; layer++) await writer.write(new Uint8Array(patterns.buffer));
  await writer.commit();
}

async function peakOf(layers: number, method: string): Promise<{ before: number; peak: number }> {
  const script = resolve(import.meta.dirname, "../merge/peak-memory.mjs");
  const options = ["--max-old-space-size=64", script, join(folder, String(layers)), method];
  const { stdout } = await promisify(execFile)(process.execPath, options);
  return JSON.parse(stdout);
}

const counted = existsSync("/proc/self/status");

test.runIf(counted).each(["sce", "ties"])("%s of six times as many layers takes no more", async (method) => {
  const few = await peakOf(FEW, method);
  const many = await peakOf(MANY, method);
  // A block of 8 MB, chunks, and what the compiler and the garbage collector take: 6 to 9 MB were found.
  expect(few.peak - few.before).toBeLessThan(30e6);
  // The many layers are 126 MB of input and 42 MB of output more; 2 to 4 MB were found.
  expect(many.peak - few.peak).toBeLessThan(12e6);
});

test.runIf(!counted)("skipped: private memory is counted on Linux alone", () => {
  expect(counted).toBe(false);
});
