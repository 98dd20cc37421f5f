/** The client of vLLM against this server: distributions number for number. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { collectDistributions } from "#src/distributions/collect.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import { createEngine } from "#src/engine/index.js";
import { silent } from "#src/reporter.js";
import { goldenFolder } from "../engine/onnx/golden.ts";
import { serveGolden } from "./server.ts";

test("our own client of vLLM collects the distributions of the embedded engine", async () => {
  const engine = await createEngine({ kind: "onnx", threads: 1 });
  const server = await serveGolden(engine, ["qwen2"]);
  const folder = goldenFolder("qwen2");
  const out = await mkdtemp(join(tmpdir(), "fusechat-serve-"));
  try {
    const data = resolve(import.meta.dirname, "../golden/pipeline/conversations.jsonl");
    const conversations = (await readConversations(data)).conversations.slice(0, 3);
    const options = { model: folder, conversations, topK: 10, maxLength: 2048, template: "native" } as const;
    const vllm = { kind: "vllm", url: server.url, model: "qwen2", concurrency: 2, maxLogprobs: null } as const;
    await collectDistributions({ ...options, out: join(out, "own") }, { engine, reporter: silent });
    await collectDistributions(
      { ...options, out: join(out, "served") },
      { engine: await createEngine(vllm), reporter: silent },
    );
    const [own, served] = await Promise.all(
      ["own", "served"].map((name) => readDistributionsShard(join(out, name, "shard-00000.safetensors"))),
    );
    expect(served!.topId).toEqual(own!.topId);
    // Bits of F16 of one sign follow their values. Which sequences the server reads together is a matter of time and moves
    // float32 logits in their last bits; where a value lies between two of F16, it becomes the other one.
    const steps = Array.from(own!.topLogp, (bits, n) => Math.abs(served!.topLogp[n]! - bits));
    expect(Math.max(...steps)).toBeLessThanOrEqual(1);
    expect(steps.filter((step) => step > 0).length / steps.length).toBeLessThan(0.01);
    expect(served!.labelLogp.length).toBeGreaterThan(50);
    own!.labelLogp.forEach((logp, row) => {
      // Nats; two orders of summation in float32 differ by up to 7e-6 here.
      expect(Math.abs(served!.labelLogp[row]! - logp)).toBeLessThan(2e-5);
    });
  } finally {
    await rm(out, { recursive: true });
    await server.close();
    await engine.dispose();
  }
});
