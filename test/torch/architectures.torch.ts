/**
 * Architectures that only PyTorch's side knows, through the real commands: as pivot (latent attention, routed experts),
 * and as sources (convolutions beside attention; experts with sinks and windows). Weights are random and transformers'
 * own; tokenizers and templates are those of golden models.
 */
import { execFile } from "node:child_process";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { readConversations } from "#src/data/read.js";
import { openConversationTokeniser } from "#src/data/tokenise.js";
import { readDistributions } from "#src/distributions/read-folder.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { fusechat } from "../cli/command.ts";

const GOLDEN = resolve(import.meta.dirname, "../golden");
const CONVERSATIONS = join(GOLDEN, "pipeline/conversations.jsonl");
const { python } = inject("torch");
const ENGINE = `{ kind: torch, python: ${python}, device: cpu, compute: float32 }`;

/** Each with the tokenizer of a golden model, and that one's number of ids. */
const MODELS = { deepseek_v3: ["mistral", 479], lfm2: ["qwen2", 418], gpt_oss: ["llama", 457] } as const;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-architectures-"));
  for (const [name, [golden, vocabulary]] of Object.entries(MODELS)) {
    await reference("make", name, join(folder, name), String(vocabulary));
    for (const file of ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]) {
      await copyFile(join(GOLDEN, "models", golden, file), join(folder, name, file)).catch(() => {});
    }
  }
  await writeFile(
    join(folder, "recipe.yaml"),
    `pivot: deepseek_v3
sources: [lfm2, gpt_oss]
data: { path: ${CONVERSATIONS}, held_out_path: ${join(GOLDEN, "pipeline/held_out.jsonl")} }
fuse: { epochs: 2, batch: 4, lr: 0.001, dtype: float32 }
merge: { method: sce, dtype: float32 }
evaluate: [{ benchmark: held-out, models: [fused] }]
engine: ${ENGINE}
`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Asks the Python side's own tests. */
async function reference(...arguments_: readonly string[]): Promise<string> {
  const cwd = resolve(import.meta.dirname, "../../python");
  const { stdout } = await promisify(execFile)(python, ["-m", "tests.reference", ...arguments_], {
    cwd,
    env: { ...process.env, HF_HUB_OFFLINE: "1", PYTHONDONTWRITEBYTECODE: "1" },
    maxBuffer: 1 << 28,
  });
  return stdout;
}

/** By conversation, the log-probabilities that transformers gives each label of the responses. */
async function labelLogp(model: string, file: string): Promise<{ logp: number[][]; bytes: number }> {
  const tokeniser = await openConversationTokeniser(model, { maxLength: 2048 });
  const { conversations } = await readConversations(file);
  const read = (await tokeniser.tokenise(conversations, 0)).flatMap((one) => ("refused" in one ? [] : [one]));
  await tokeniser.dispose();
  const path = join(folder, "sequences.json");
  await writeFile(path, JSON.stringify(read.map((one) => ({ ids: [...one.ids], positions: [...one.rows.position] }))));
  return {
    logp: JSON.parse(await reference("label-logp", model, path)),
    bytes: read.reduce((sum, one) => sum + one.bytes, 0),
  };
}

test("the embedded engine refuses them, and says who runs them", async () => {
  const { code, stderr } = await fusechat("chat", join(folder, "lfm2"), "--prompt", "Hello");
  expect(code).toBe(2);
  expect(stderr).toMatch(/model_type: unknown architecture "lfm2".*engine: torch runs others/);
});

test("a recipe's distributions, alignments, targets and merge are made of them, with transformers' own numbers", async () => {
  const out = join(folder, "run");
  const { code, stderr } = await fusechat("run", join(folder, "recipe.yaml"), "--out", out, "--quiet");
  expect(stderr).toBe("");
  expect(code).toBe(0);

  for (const name of Object.keys(MODELS)) {
    const { logp } = await labelLogp(join(folder, name), CONVERSATIONS);
    const found: number[] = [];
    for await (const { shard } of readDistributions(join(out, "distributions", name))) found.push(...shard.labelLogp);
    const expected = logp.flat();
    expect(found.length).toBe(expected.length);
    for (const [row, value] of found.entries()) expect(Math.abs(value - expected[row]!), name).toBeLessThan(1e-4);
  }

  // Trained and merged under the checkpoint's own names: transformers loads it, and gives it the figure of the run.
  const pivot = await readSafetensors(join(folder, "deepseek_v3/model.safetensors"));
  const fused = await readSafetensors(join(out, "fused/model.safetensors"));
  expect([...fused.tensors.keys()].sort()).toEqual([...pivot.tensors.keys()].sort());
  const { metrics } = JSON.parse(await readFile(join(out, "evaluate/held-out/fused.json"), "utf8"));
  const { logp, bytes } = await labelLogp(join(out, "fused"), join(GOLDEN, "pipeline/held_out.jsonl"));
  const natsPerByte = -logp.flat().reduce((sum, value) => sum + value, 0) / bytes;
  expect(Math.abs(metrics.nats_per_byte.value - natsPerByte)).toBeLessThan(1e-5);
});
