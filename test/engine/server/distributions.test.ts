/** Shards from servers against those of the embedded engine, in both servers' own form, and what may go wrong on the way. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { collectDistributions } from "#src/distributions/collect.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import type { Engine, EngineModel } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { halfToNumber } from "#src/formats/float.js";
import { silent } from "#src/reporter.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { type Kind, type PromptRows, promptRows, type StandIn, type StandInOptions, startStandIn } from "./stand-in.ts";

const golden = resolve(import.meta.dirname, "../../golden");
const folder = join(golden, "models/qwen2");
const KINDS: readonly Kind[] = ["vllm", "sglang"];

let root: string;
let embedded: Engine;
let model: EngineModel;
let rows: PromptRows;
/** Folder of the embedded engine's shards. */
let own: string;
let tokenizer: Tokenizer;
let conversations: Conversation[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-servers-"));
  embedded = await createEngine({ kind: "onnx", threads: 1 });
  model = await embedded.open(folder);
  rows = promptRows(model);
  tokenizer = await loadTokenizer(folder);
  conversations = (await readConversations(join(golden, "pipeline/conversations.jsonl"))).conversations;
});
beforeAll(async () => {
  own = join(root, "own");
  const options = { model: folder, conversations, topK: 10, maxLength: 2048, template: "native" } as const;
  await collectDistributions({ ...options, out: own, shardConversations: 5 }, { engine: embedded, reporter: silent });
});
afterAll(async () => {
  await model.dispose();
  await embedded.dispose();
  await rm(root, { recursive: true });
});

const opened: StandIn[] = [];
afterEach(async () => {
  for (const server of opened.splice(0)) await server.close();
});

async function standIn(kind: Kind, more: Partial<StandInOptions> = {}): Promise<StandIn> {
  const server = await startStandIn({ kind, rows, tokenizer, vocabulary: model.vocabulary, ...more });
  opened.push(server);
  return server;
}

async function collect(kind: Kind, { url }: StandIn, out: string, topK = 10): Promise<string> {
  const engine = await createEngine({ kind, url, model: null, concurrency: 3, maxLogprobs: null });
  const options = {
    model: folder,
    conversations,
    out: join(root, out),
    topK,
    maxLength: 2048,
    template: "native",
  } as const;
  await collectDistributions({ ...options, shardConversations: 5 }, { engine, reporter: silent });
  return join(root, out);
}

describe.each(KINDS)("distributions from a %s server", (kind) => {
  test("are those of the embedded engine, number for number", async () => {
    const served = await collect(kind, await standIn(kind), `${kind}-served`);
    expect((await readdir(served)).sort()).toEqual((await readdir(own)).sort());
    for (const name of ["shard-00000.safetensors", "shard-00001.safetensors"]) {
      const [expected, shard] = await Promise.all([own, served].map((at) => readDistributionsShard(join(at, name))));
      const { labelLogp, topId, topLogp, metadata, ...rest } = shard!;
      const { labelLogp: itsLabels, topId: itsIds, topLogp: itsLogp, metadata: its, ...same } = expected!;
      expect(rest).toEqual(same);
      const { served: whose, weightsSha256, ...alike } = metadata;
      expect({ ...alike, weightsSha256: its.weightsSha256 }).toEqual(its);
      expect(whose).toMatch(new RegExp(`^${kind} stand-in of config [0-9a-f]{64}$`));
      expect(weightsSha256).toMatch(/^[0-9a-f]{64}$/);
      // Other batches of the same program: single precision's rounding.
      for (const [row, logp] of labelLogp.entries()) expect(Math.abs(logp - itsLabels[row]!)).toBeLessThan(1e-5);
      for (const [at, bits] of topLogp.entries()) {
        const [found, wanted] = [halfToNumber(bits), halfToNumber(itsLogp[at]!)];
        expect(Math.abs(found - wanted)).toBeLessThan(1e-5 + Math.abs(wanted) * 2 ** -10);
        // Two candidates a rounding apart may change places.
        if (topId[at] !== itsIds[at]) expect(itsIds.slice(at - 1, at + 2)).toContain(topId[at]);
      }
    }
  });
});
