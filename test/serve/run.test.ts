/** Where the models of a run part: what was stored of the golden pipeline, and what its pivot says in the same places now. */
import { cp, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readAlignedShard } from "#src/align/shard-file.js";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import type { Engine } from "#src/engine/engine.js";
import { createEngine } from "#src/engine/index.js";
import { halfToNumber } from "#src/formats/float.js";
import { divergenceBits } from "#src/serve/run/divergence.js";
import { goldenRun } from "./golden-run.ts";
import { serveGolden, type TestServer } from "./server.ts";

const run = goldenRun();

let engine: Engine;
let server: TestServer;
beforeAll(async () => {
  engine = await createEngine({ kind: "onnx", threads: 1 });
  server = await serveGolden(engine, ["mistral", "qwen2"], { run });
});
afterAll(async () => {
  await server.close();
  await engine.dispose();
});

interface Place {
  readonly token: string;
  readonly turn: number;
  readonly divergence: number | null;
}
interface Said {
  readonly name: string;
  readonly logprob: number;
  readonly top: readonly { readonly id: number; readonly logprob: number; readonly is_label: boolean }[] | null;
}
interface Row {
  readonly label: { readonly id: number };
  readonly pivot: Said;
  readonly sources: readonly Said[];
}

async function get<Reply>(path: string): Promise<Reply> {
  const response = await server.get(path);
  expect(response.status, path).toBe(200);
  return (await response.json()) as Reply;
}

describe("Jensen and Shannon's divergence", () => {
  const row = (...masses: (readonly [number, number])[]) => {
    return { ids: masses.map(([id]) => id), logprobs: masses.map(([, mass]) => Math.log(mass)) };
  };

  test("is 0 between equals, 1 between strangers, and in between what the definition gives", () => {
    const half = row([3, 0.5], [5, 0.5]);
    expect(divergenceBits(half, half)).toBe(0);
    expect(divergenceBits(row([3, 1]), row([4, 1]))).toBe(1);
    // H(3/4, 1/4) - (H(1/2, 1/2) + H(1)) / 2 = 0.8113 - 0.5
    expect(divergenceBits(half, row([3, 1]))).toBeCloseTo(0.75 * Math.log2(4 / 3) + 0.5 - 0.5, 12);
    expect(divergenceBits(row([3, 1]), half)).toBeCloseTo(0.75 * Math.log2(4 / 3), 12);
  });

  test("takes what is not stored for one token more, and knows unused places", () => {
    expect(divergenceBits(row([3, 0.5]), row([4, 0.5]))).toBeCloseTo(0.5, 12);
    const padded = { ids: [3, 0], logprobs: [Math.log(0.5), Number.NEGATIVE_INFINITY] };
    expect(divergenceBits(padded, row([3, 0.5]))).toBe(0);
  });
});

test("the run names its pivot, its sources and whom to ask; a server without one says so", async () => {
  expect(await get("/run")).toEqual({
    run: {
      pivot: "mistral",
      sources: ["qwen2", "gemma2"],
      conversations: expect.any(Number),
      models: [
        { name: "mistral", asked: true, loaded: expect.any(Boolean) },
        { name: "qwen2", asked: false, loaded: expect.any(Boolean) },
      ],
    },
  });
  const plain = await serveGolden(engine, ["mistral"]);
  expect(await (await plain.get("/run")).json()).toEqual({ run: null });
  expect(await (await plain.get("/run/row?conversation=0&row=0")).json()).toMatchObject({ error: { code: "no_run" } });
  await plain.close();
});

test("conversations are found by their words, a page at a time", async () => {
  const all = await get<{ conversations: { conversation: number; question: string }[]; next: number | null }>(
    "/run/conversations",
  );
  const { conversation, question } = all.conversations[2]!;
  const words = question.slice(0, 40).toUpperCase();
  const found = await get<typeof all>(`/run/conversations?search=${encodeURIComponent(words)}`);
  expect(found.conversations.map((one) => one.conversation)).toContain(conversation);
  expect(await get<typeof all>("/run/conversations?search=no%20such%20words")).toEqual({
    conversations: [],
    next: null,
  });
  const rest = await get<typeof all>("/run/conversations?from=1");
  expect(rest.conversations[0]).toEqual(all.conversations[1]);
});

test("a conversation's rows are the shards', and spell its answers", async () => {
  const { turns, rows } = await get<{ turns: { content: string }[]; rows: (Place & { ends_turn: boolean })[] }>(
    "/run/conversation?conversation=1&source=qwen2",
  );
  const pivot = await readDistributionsShard(join(run.pivot.folder, "shard-00000.safetensors"));
  const aligned = await readAlignedShard(join(run.sources[0]!.folder, "shard-00000.safetensors"));
  const first = pivot.rowStart[1]!;
  expect(rows).toHaveLength(pivot.rowStart[2]! - first);
  expect(rows.map(({ divergence }) => divergence === null)).toEqual(
    rows.map((_, row) => aligned.sourceRow[first + row] === -1),
  );
  const shared = rows.flatMap(({ divergence }) => (divergence === null ? [] : [divergence]));
  expect(Math.min(...shared)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...shared)).toBeLessThanOrEqual(1);
  expect(Math.max(...shared)).toBeGreaterThan(Math.min(...shared));
  const spelled = rows.flatMap(({ turn, token, ends_turn: ends }) => (turn === rows[0]!.turn && !ends ? [token] : []));
  expect(spelled.join("").trim()).toBe(turns[rows[0]!.turn]!.content.trim());
});

test("a row says what pivot and sources stored, and what the pivot says now is the same", async () => {
  const pivot = await readDistributionsShard(join(run.pivot.folder, "shard-00000.safetensors"));
  const { topK } = pivot.metadata;
  for (const row of [0, 7]) {
    const stored = await get<Row>(`/run/row?conversation=2&row=${row}`);
    const at = pivot.rowStart[2]! + row;
    expect(stored.label.id).toBe(pivot.token[at]);
    expect(stored.pivot.top!.map(({ id }) => id)).toEqual([...pivot.topId.subarray(at * topK, at * topK + 10)]);
    expect(stored.pivot.top![0]!.logprob).toBe(halfToNumber(pivot.topLogp[at * topK]!));
    expect(stored.sources.map(({ name }) => name)).toEqual(["qwen2", "gemma2"]);
    const now = await get<Said>(`/run/row?conversation=2&row=${row}&model=mistral`);
    // Stored in float32.
    expect(now.logprob).toBeCloseTo(stored.pivot.logprob, 4);
    // Stored in float16, 11 bits.
    now.top!.forEach(({ logprob }, k) => {
      expect(Math.abs(logprob / stored.pivot.top![k]!.logprob - 1)).toBeLessThan(2 ** -10);
    });
  }
  const { rows } = await get<{ rows: Place[] }>("/run/conversation?conversation=2&model=mistral");
  for (const { divergence } of rows) expect(divergence).toBeLessThan(1e-3);
});

test("whoever reads other tokens is not asked, and what is not there is refused by its name", async () => {
  const refusal = async (path: string) => {
    const response = await server.get(path);
    const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
    return [response.status, error.code, error.param];
  };
  expect(await refusal("/run/row?conversation=0&row=0&model=qwen2")).toEqual([400, "other_tokens", "model"]);
  expect(await refusal("/run/row?conversation=0&row=0&model=gpt")).toEqual([404, "model_not_found", "model"]);
  expect(await refusal("/run/conversation?conversation=0&source=llama")).toEqual([404, "no_source", "source"]);
  expect(await refusal("/run/conversation?conversation=99999")).toEqual([404, "no_rows", "conversation"]);
  expect(await refusal("/run/row?conversation=0&row=99999")).toEqual([404, "no_rows", "row"]);
  expect(await refusal("/run/row?conversation=../0&row=0")).toEqual([400, "invalid_value", "conversation"]);
  expect(await refusal("/run/conversations?path=/etc")).toEqual([400, "unsupported_parameter", "path"]);
  expect(server.reported).toEqual([]);
});

test("rows that cannot be read, or that are of other conversations, are reported, and the models are served all the same", async () => {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-run-view-"));
  try {
    const broken = await serveGolden(engine, ["mistral"], { run: { ...run, sources: [{ name: "x", folder }] } });
    expect(String(broken.reported[0])).toMatch(/expected shards/);
    expect(await (await broken.get("/run")).json()).toEqual({ run: null });
    await broken.close();
    await cp(run.data, join(folder, "data.jsonl"));
    const changed = await serveGolden(engine, ["mistral"], { run: { ...run, data: join(folder, "data.jsonl") } });
    await writeFile(join(folder, "data.jsonl"), "x".repeat((await stat(run.data)).size));
    expect((await changed.get("/run/row?conversation=0&row=0&model=mistral")).status).toBe(500);
    expect(String(changed.reported[0])).toMatch(/data\.jsonl:1: expected a line of JSON/);
    await changed.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
