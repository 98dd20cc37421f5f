import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { createEngine, TORCH } from "#src/engine/index.js";
import { MISTRAL } from "../../run/fixtures.ts";

/** An engine whose processes die with this message. */
async function dying(message: string) {
  const script = `require("fs").writeFileSync(require("path").join(process.argv[1], "error.json"), JSON.stringify({ code: 1, rank: 0, message: ${JSON.stringify(message)} })); process.exit(1)`;
  const engine = await createEngine({ ...TORCH, processes: 2, launch: [process.execPath, "-e", script] });
  onTestFinished(() => engine.dispose());
  return engine;
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-memory-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const sequences = [{ ids: Int32Array.of(1, 5, 9), positions: Int32Array.of(1, 2) }];

test("a job that dies for lack of memory says what it needs and what would fit", async () => {
  const engine = await dying("out of GPU memory: CUDA out of memory. Tried to allocate 2.00 GiB");
  const model = await engine.open(MISTRAL, await temporaryFolder());
  await expect(model.ahead!(sequences, 4)).rejects.toThrow(
    /out of GPU memory: CUDA out of memory\. Tried to allocate 2\.00 GiB; a pass with micro-batches of 8192 tokens takes about 2\.0 GB in each of 2 processes/,
  );
});

test("a training that dies so is told of adapters too", async () => {
  const engine = await dying("out of GPU memory: CUDA out of memory");
  const folder = await temporaryFolder();
  const [sequence] = sequences;
  const target = { targetId: new Int32Array(0), targetProbability: new Float32Array(0), tailProbability: null };
  const training = engine.trainWhole!(
    {
      ...{ model: MISTRAL, lambda: 1, count: 1, checkpointSteps: 0, dtype: "float32", lora: null },
      options: { weightDecay: 0, clipNorm: 1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
      read: async () => ({ ...sequence!, ...target }),
      steps: [{ batch: [0], learningRate: 1e-3 }],
      work: join(folder, "work"),
      out: folder,
    },
    {},
  );
  await expect(training).rejects.toThrow(
    /a training with micro-batches of 8192 tokens takes about \d\.\d GB in each of 2/,
  );
});

test("any other death is told as it is", async () => {
  const model = await (await dying("no such tensor")).open(MISTRAL, await temporaryFolder());
  await expect(model.ahead!(sequences, 4)).rejects.toThrow(/^[^;]*no such tensor$/);
});
