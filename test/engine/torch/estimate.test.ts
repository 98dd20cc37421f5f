import { expect, test } from "vitest";
import type { PassesWork, TrainingWork } from "#src/engine/estimate.js";
import { TORCH } from "#src/engine/index.js";
import { assumedThroughput } from "#src/engine/onnx/throughput.js";
import { estimateTorch } from "#src/engine/torch/estimate.js";
import { gpuCalled } from "#src/engine/torch/gpus.js";
import { tensorBytes } from "#src/engine/torch/memory.js";
import { modelFromConfig } from "#src/models/index.js";
import { type ModelSizes, modelSizes } from "#src/models/sizes.js";
import { MISTRAL_7B, MIXTRAL_8X7B, QWEN_72B } from "../../models/published.ts";

function sizesOf(config: Readonly<Record<string, unknown>>): ModelSizes {
  return modelSizes(config, modelFromConfig("m", "config.json", config).shapes);
}

const mistral = { sizes: sizesOf(MISTRAL_7B), model: null };
const qwen = { sizes: sizesOf(QWEN_72B), model: null };
const machine = { facts: null, availableBytes: 16e9, throughput: assumedThroughput(2) };
const LORA = { rank: 16, targets: ["all-linear"] };

/** 95,000 conversations of 700 tokens, as the paper's. */
const extents = Array.from({ length: 128 }, () => ({ length: 700, rows: 500 }));
const passes: PassesWork = { extents, tokens: 66.5e6, rows: 47.5e6, topK: 10 };
const training: TrainingWork = {
  ...{ steps: 2227, epochs: 3, tokens: 66.5e6, rows: 47.5e6, width: 20, checkpoints: 9, dataBytes: 0, lora: null },
  batches: () => [extents],
};

test("sizes come from config and weights, experts counted once where a token meets them", () => {
  expect(mistral.sizes).toMatchObject({
    parameters: 7_241_748_480,
    layers: 32,
    hiddenSize: 4096,
    intermediateSize: 14_336,
  });
  expect(mistral.sizes.activeParameters).toBe(mistral.sizes.parameters);
  expect(mistral.sizes.layerParameters).toBe(218_112_000);
  const mixtral = sizesOf(MIXTRAL_8X7B);
  expect([mixtral.parameters, mixtral.activeParameters]).toEqual([46_702_792_704, 12_879_925_248]);
  expect(mixtral.intermediateSize).toBe(2 * 14_336);
});

test("memory of whole models is near what a tracker counted of another decoder", () => {
  const figures = (sizes: ModelSizes, kind: "rows" | "train", processes: number, microTokens: number): number =>
    tensorBytes(sizes, { kind, processes, microTokens, compute: "bfloat16", lora: null }) / 1e9;
  // 18.3, 21.7 and 26.3 GB of another decoder, which kept a layer's gradient a little longer.
  expect(figures(mistral.sizes, "train", 8, 2048)).toBeCloseTo(17.8, 0);
  expect(figures(mistral.sizes, "train", 8, 8192)).toBeCloseTo(21.3, 0);
  expect(figures(mistral.sizes, "train", 8, 16_384)).toBeCloseTo(26, 0);
  expect(figures(qwen.sizes, "rows", 8, 32_768)).toBeCloseTo(33.5, 0);
});

test("a 7B target with adapters fits one card of 24 GB, without them it does not, and what would fit is told", () => {
  const card = estimateTorch({ ...TORCH, gpu: "4090" }, machine);
  const adapted = card.training(mistral, { ...training, lora: LORA });
  expect(adapted.memoryBytes).toBeLessThan(25.4e9);
  expect(adapted.advice).toBeNull();
  const whole = card.training(mistral, training);
  expect(whole.memoryBytes).toBeGreaterThan(100e9);
  expect(whole.advice).toMatch(/^at least \d+ processes, each with a GPU, or fuse\.lora would do$/);
});

test("72 billion parameters need several processes even to be read", () => {
  const one = estimateTorch({ ...TORCH, gpu: "h100", processes: 1 }, machine).passes(qwen, passes);
  const [, least] = /at least (\d+) processes/.exec(one.advice!)!;
  const enough = estimateTorch({ ...TORCH, gpu: "h100", processes: Number(least) }, machine).passes(qwen, passes);
  expect(enough.memoryBytes).toBeLessThan(84.9e9);
  expect(enough.advice).toBeNull();
  const few = estimateTorch({ ...TORCH, gpu: "h100", processes: Number(least) - 1 }, machine).passes(qwen, passes);
  expect(few.memoryBytes).toBeGreaterThan(84.9e9);
});

test("hours follow from products, or from the link where that is slower", () => {
  const fast = estimateTorch({ ...TORCH, gpu: "h100", processes: 8 }, machine);
  const seconds = (8 * 7.2417e9 * 3 * 66.5e6) / 8 / (0.4 * 989e12);
  expect(fast.training(mistral, training).seconds! / seconds).toBeCloseTo(1, 3);
  expect(fast.passes(mistral, passes).seconds! / ((2 * 7.2417e9 * 66.5e6) / 8 / (0.4 * 989e12))).toBeCloseTo(1, 3);
  // Eight conversations a step are one micro-batch each, for which 8 bytes a parameter are gathered and scattered.
  const steps = 35_625;
  const moved = (steps * 8 * 7.2417e9 * (7 / 8)) / 450e9;
  expect(fast.training(mistral, { ...training, steps }).seconds! / moved).toBeCloseTo(1, 3);
});

test("checkpoints have 12 bytes a trained parameter, two at a time; ids, places and targets lie there twice, of which one is the job", () => {
  const { checkpointBytes, workBytes } = estimateTorch(TORCH, machine).training(mistral, training);
  expect(checkpointBytes).toBe(2 * 12 * 7_241_748_480);
  expect(workBytes - checkpointBytes).toBe(2 * (4 * (66.5e6 + 47.5e6) + 47.5e6 * 20 * 8));
  const adapted = estimateTorch(TORCH, machine).training(mistral, { ...training, lora: LORA });
  expect(adapted.checkpointBytes).toBe(2 * 12 * 41_943_040);
});

test("without a card there is memory and no time, and a sentence how to get some", () => {
  const unknown = estimateTorch(TORCH, machine);
  expect(unknown.passes(mistral, passes)).toMatchObject({ seconds: null, advice: null });
  expect([unknown.availableBytes, unknown.basis]).toEqual([
    null,
    "hours need a card: name one in engine, such as gpu: h100",
  ]);
  const processor = estimateTorch({ ...TORCH, device: "cpu", processes: 2 }, machine);
  expect([processor.memory, processor.availableBytes, processor.processes]).toEqual(["memory", 8e9, 2]);
  expect(processor.passes(mistral, passes).seconds! / ((2 * 7.2417e9 * 66.5e6) / 80e9)).toBeCloseTo(1, 3);
  expect(processor.basis).toBe("assumed 80 GFLOP/s on 2 cores, of the embedded engine");
});

test("a card is known by what PyTorch calls it", () => {
  expect(gpuCalled("NVIDIA H100 80GB HBM3", 85e9)).toMatchObject({ memoryBytes: 85e9, operationsPerSecond: 989e12 });
  expect(gpuCalled("NVIDIA GeForce RTX 4090", 25e9)?.linkBytesPerSecond).toBe(32e9);
  expect(gpuCalled("NVIDIA A100-SXM4-80GB", 85e9)?.operationsPerSecond).toBe(312e12);
  expect(gpuCalled("Tesla T4", 16e9)).toBeUndefined();
});
