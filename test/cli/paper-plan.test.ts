/** The paper's experiment, planned: with the Hub's configs and headers, from a stand-in for it, and with nothing at all. */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { runCommandLine } from "#src/cli/program.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { modelFromConfig } from "#src/models/index.js";
import { openServer, temporaryFolder } from "../hub/models.ts";
import type { Files, HubServer } from "../hub/server.ts";
import { INTERNLM2_20B, MISTRAL_7B, MIXTRAL_8X7B, QWEN_72B, SOLAR_10_7B } from "../models/published.ts";
import { memoryStreams } from "./memory-streams.ts";

const RECIPE = resolve(import.meta.dirname, "../../examples/paper/recipe.yaml");

const MODELS = {
  "openchat/openchat_3.5": MISTRAL_7B,
  "berkeley-nest/Starling-LM-7B-alpha": MISTRAL_7B,
  "NousResearch/Nous-Hermes-2-SOLAR-10.7B": SOLAR_10_7B,
  "internlm/internlm2-chat-20b": INTERNLM2_20B,
  "mistralai/Mixtral-8x7B-Instruct-v0.1": MIXTRAL_8X7B,
  "Qwen/Qwen1.5-72B-Chat": QWEN_72B,
};

/** Enough of the weights for whoever reads their header alone. */
function add(server: HubServer, repo: string, config: Readonly<Record<string, unknown>>, shard: string): void {
  const tensors: Record<string, unknown> = {};
  let end = 0;
  for (const { name, shape } of modelFromConfig(repo, "config.json", config).shapes) {
    const begin = end;
    end += 2 * shape.reduce((product, extent) => product * extent, 1);
    tensors[name] = { dtype: "BF16", shape, data_offsets: [begin, end] };
  }
  const header = Buffer.from(JSON.stringify(tensors));
  const file = Buffer.alloc(Math.max(1 << 16, 8 + header.byteLength));
  file.writeBigUInt64LE(BigInt(header.byteLength));
  header.copy(file, 8);
  const size = 8 + header.byteLength + end;
  server.lies.set(shard, { size, lfs: { oid: "0".repeat(64), size, pointerSize: 130 } });
  const index = {
    metadata: { total_size: end },
    weight_map: Object.fromEntries(Object.keys(tensors).map((name) => [name, shard])),
  };
  const files: Files = {
    "config.json": JSON.stringify(config),
    "model.safetensors.index.json": JSON.stringify(index),
    [shard]: file,
  };
  server.add(repo, files);
}

async function plan(environment: Record<string, string>, ...flags: string[]): Promise<string> {
  const streams = memoryStreams({ environment: { HF_HOME: await temporaryFolder(), ...environment } });
  const verbs = await loadVerbs("plan");
  const exitCode = await runCommandLine(["plan", RECIPE, ...flags], streams, new AbortController().signal, verbs);
  expect(exitCode, streams.stderr.text).toBe(0);
  return streams.stdout.text;
}

test("six configs and headers are enough for memory, hours and disk of every stage, and in all", async () => {
  const server = await openServer();
  // The tree's lies go by a file's name, so each model has one of its own.
  for (const [index, [repo, config]] of Object.entries(MODELS).entries()) {
    add(server, repo, config, `model-00001-of-0000${index + 1}.safetensors`);
  }
  const document = JSON.parse(await plan({ HF_ENDPOINT: server.url }, "--json"));
  expect(document.unread).toEqual([]);
  expect(document.models.map(({ parameters }: { parameters: number }) => Math.round(parameters / 1e8) / 10)).toEqual([
    7.2, 7.2, 10.7, 19.9, 46.7, 72.3,
  ]);
  expect(document.conversations).toMatchObject({ train: 94_525, held_out: 475 });
  expect(document.training).toMatchObject({ targets: 5, steps: 2217, checkpoint_bytes: 24 * 7_241_748_480 });
  expect(document.total.partial).toEqual([]);
  const stages = new Map<string, Record<string, number>>(
    document.stages.map((stage: { stage: string }) => [stage.stage, stage]),
  );
  // 2 operations a parameter and token on 8 cards at 40 % of 989 TFLOP/s.
  const tokens = (66e6 * 94_525) / 95_000;
  expect(stages.get("distributions qwen")!.seconds! / ((2 * 72.288e9 * tokens) / 8 / (0.4 * 989e12))).toBeCloseTo(1, 2);
  expect(stages.get("fuse qwen")!.seconds! / ((8 * 7.2417e9 * 3 * tokens) / 8 / (0.4 * 989e12))).toBeCloseTo(1, 2);
  expect(stages.get("fuse qwen")!.disk_bytes).toBe(4 * 7_241_748_480);
  expect(stages.get("distributions qwen")!.memory_bytes! / 1e9).toBeGreaterThan(25);
  expect(stages.get("distributions qwen")!.memory_bytes! / 1e9).toBeLessThan(40);
  expect(document.stages.every(({ fits }: { fits: boolean }) => fits)).toBe(true);
  expect(document.fetch.missing_bytes / 1e9).toBeGreaterThan(300);

  const text = await plan({ HF_ENDPOINT: server.url });
  expect(text).toMatch(/^qwen +source +qwen2 +72,287,920,128 /m);
  expect(text).toMatch(/^fuse starling +29 GB +2\d GB x 8 +1 h \d+ min/m);
  expect(text).toMatch(/^in all +\d+ GB +\d+ GB +\d+ h/m);
  expect(text).toMatch(/^At most \d+ GB of disk more while a stage works\.$/m);
  expect(text).toContain("40 % of 989 TFLOP/s and 450 GB/s a card, H100 (80 GB, SXM)");
});

test("with nothing to read the schedule is printed, and a sentence says what could not be read", async () => {
  const text = await plan({ HF_HUB_OFFLINE: "1" });
  expect(text).toContain("94,525 conversations to train on, 475 held out, by data.size: the data is not here yet");
  expect(text).toContain("5 trainings of 2,217 steps (739 an epoch, 67 of warm-up)\n");
  expect(text).toMatch(
    /^Not read, and \? stands for what follows from it: openchat_3\.5, starling, solar, internlm, mixtral, qwen \(.*HF_HUB_OFFLINE is set, .*\)\.$/m,
  );
  expect(text).toMatch(/^fuse qwen +\? +\? +\?$/m);
  expect(text.split("\n").find((line) => line.startsWith("in all"))).toContain("over 1.3 MB");
});

test("a model that the Hub does not have is no mere question mark", async () => {
  const server = await openServer();
  const streams = memoryStreams({ environment: { HF_HOME: await temporaryFolder(), HF_ENDPOINT: server.url } });
  const exitCode = await runCommandLine(
    ["plan", RECIPE],
    streams,
    new AbortController().signal,
    await loadVerbs("plan"),
  );
  expect(exitCode).toBe(2);
  expect(streams.stderr.text.split("\n").filter((line) => line.includes("has no such model"))).toHaveLength(6);
  expect(streams.stderr.text).toMatch(/recipe\.yaml:\d+.*openchat\/openchat_3\.5: no folder of this name is here/);
  expect(streams.stdout.text).toBe("");
});
