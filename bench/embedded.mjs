/**
 * The embedded engine's side of `engine.mjs`, a process of its own so that its peak memory is its own. Its argument is
 * the job as JSON; every line of its input is answered by one timed run: `{ milliseconds, peak, check }`.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { ADAMW } from "../dist/engine/engine.js";
import { createOnnxEngine } from "../dist/engine/onnx/index.js";
import { readSafetensors } from "../dist/formats/safetensors.js";

/** @type {import("./engine.mjs").Job} */
const job = JSON.parse(process.argv[2]);
const sequences = await batch();
const engine = await createOnnxEngine({ threads: job.threads });
const { run, check } = job.pass === "training" ? await training() : await teacher();

for await (const _ of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const result = await run();
  const milliseconds = performance.now() - start;
  console.log(JSON.stringify({ milliseconds, peak: peakMegabytes(), check: check(result) }));
}
await engine.dispose();

async function training() {
  const trainer = await engine.train(job.folder, ADAMW);
  const { lambda, learningRate } = job;
  return {
    run: () => trainer.step({ sequences, lambda, learningRate }),
    check: ({ labelLoss, fusionLoss, gradientNorm }) => ({ labelLoss, fusionLoss, gradientNorm }),
  };
}

async function teacher() {
  const model = await engine.open(job.folder);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    run: () => model.rows(sequences, job.topK),
    check: ({ labelLogp, topLogp }) => ({ labelLoss: -mean(labelLogp), topLoss: -mean(topLogp) }),
  };
}

/** Every position of every sequence is a row. */
async function batch() {
  const { tensors } = await readSafetensors(job.batch);
  const [ids, targetId, targetProbability] = ["ids", "target_id", "target_probability"].map((name) =>
    tensors.get(name),
  );
  const [count, width] = ids.shape;
  const rows = width - 1;
  const cut = ({ data, shape }, s) => data.slice(s * rows * shape[1], (s + 1) * rows * shape[1]);
  return Array.from({ length: count }, (_, s) => ({
    ids: ids.data.slice(s * width, (s + 1) * width),
    positions: Int32Array.from({ length: rows }, (_, index) => index + 1),
    targetId: cut(targetId, s),
    targetProbability: cut(targetProbability, s),
    tailProbability: null,
  }));
}

/** Peak resident memory. Where Linux tells it, without what the parent had when it forked. */
function peakMegabytes() {
  if (process.platform !== "linux") return process.resourceUsage().maxRSS / 1024;
  return Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
}
