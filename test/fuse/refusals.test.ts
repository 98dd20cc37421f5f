/** Input of the fuse stage that does not belong together: refused by name before a single step, nothing left behind. */
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { readAlignedShard, writeAlignedShard } from "#src/align/shard-file.js";
import { conversationId } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import type { FuseOptions } from "#src/fuse/options.js";
import { fakeEngine } from "./fake-engine.ts";

import { aligned, conversations, exists, folder, fuse, golden, model, options, pivot, source } from "./golden-stage.ts";

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("input that does not belong together", () => {
  let bad = 0;
  const refused = async (changes: Partial<FuseOptions>, message: string | RegExp): Promise<void> => {
    const out = `bad-${bad++}`;
    const engine = fakeEngine();
    await expect(fuse(options(out, changes), engine)).rejects.toThrow(message);
    expect(engine.steps).toHaveLength(0);
    expect(await exists(out)).toBe(false);
  };
  /** A copy of a folder of shards in the temporary folder. */
  const copy = async (from: string, name: string): Promise<string> => {
    await cp(from, join(folder, name), { recursive: true });
    return join(folder, name);
  };

  test("an empty data set", async () => {
    await refused({ conversations: [] }, "fuse: the data set is empty; expected at least one conversation");
  });

  test("options that make no sense", async () => {
    await refused({ lambda: 1.5 }, "fuse: lambda: expected a number from 0 to 1, found 1.5");
    await refused({ batch: 0 }, "fuse: batch: expected a whole number of at least 1, found 0");
    await refused({ lr: Number.NaN }, "fuse: lr: expected a number of at least 0, found NaN");
    await refused(
      { function: "min-cd" },
      'fuse: unknown fusion function "min-cd"; did you mean "min-ce"? (there is: min-ce)',
    );
    const { aligned: _, ...plain } = options("bad-source", { source });
    await expect(fuse(plain)).rejects.toThrow("fuse: the source's shards say nothing without the aligned ones");
    await refused({ level: "row" }, /level "row" compares label by label and needs the source's own shards/);
  });

  test("shards of another model", async () => {
    await refused(
      { model: join(golden, "models/qwen2") },
      /distributions\/mistral: holds distributions of mistral \(weights \w{12}…\), but .*qwen2 has weights \w{12}…/,
    );
  });

  test("another tokenizer", async () => {
    const other = await copy(model, "other-tokenizer");
    await writeFile(join(other, "tokenizer.json"), `${await readFile(join(model, "tokenizer.json"), "utf8")}\n`);
    await refused({ model: other }, /was collected with another tokenizer \(tokenizer\.json \w{12}\) than that of/);
  });

  test("another data set", async () => {
    const others = await readConversations(join(golden, "pipeline/held_out.jsonl"));
    await refused({ conversations: others }, /conversation 0 .*; the shards come from another data set/);
  });

  test("data that the shards do not cover, or the other way round", async () => {
    const turns = [
      { role: "user" as const, content: "More?" },
      { role: "assistant" as const, content: "More." },
    ];
    const more = [...conversations, { id: conversationId(turns), turns }];
    await refused({ conversations: more }, "conversation 8 is missing from the shards");
    await refused({ conversations: conversations.slice(0, 7) }, "conversation 7 is not in the data, which has 7");
  });

  test("a label that the rendering does not have", async () => {
    const other = join(folder, "other-label");
    const shard = await readDistributionsShard(join(pivot, "shard-00000.safetensors"));
    shard.token[5] = 3;
    await writeDistributionsShard(join(other, "shard-00000.safetensors"), shard);
    await refused({ pivot: other }, /conversation 1 row 1: the shards have token 3, the rendering has \d+/);
  });

  test("a truncated aligned shard", async () => {
    const cut = await copy(aligned, "truncated");
    const path = join(cut, "shard-00000.safetensors");
    await writeFile(path, (await readFile(path)).subarray(0, -100));
    await refused({ aligned: cut }, /truncated\/shard-00000\.safetensors: .*/);
  });

  test("aligned shards of other rows, other bytes or another pivot's nats", async () => {
    const path = join(aligned, "shard-00000.safetensors");
    const write = async (name: string, change: (shard: Awaited<ReturnType<typeof readAlignedShard>>) => void) => {
      const shard = await readAlignedShard(path);
      change(shard);
      await writeAlignedShard(join(folder, name, "shard-00000.safetensors"), shard);
      return { aligned: join(folder, name) };
    };
    const rows = await write("other-rows", ({ rowStart }) => {
      rowStart[1] = rowStart[1]! + 1;
    });
    await refused(rows, "conversation 0: expected 4 rows, found 5; it was aligned to another pivot");
    const bytes = await write("other-bytes", ({ pivotBytes }) => {
      pivotBytes[0] = 9;
    });
    await refused(bytes, "conversation 0: expected 4 bytes, found 9; it was aligned to another pivot");
    const nats = await write("other-nats", ({ pivotNats }) => {
      pivotNats[2] = 1;
    });
    await refused(nats, /conversation 2: expected [\d.]+ pivot nats, found 1\.0000; it was aligned to another pivot/);
  });

  test("more aligned shards than the pivot has", async () => {
    const twice = await copy(aligned, "twice");
    await cp(join(twice, "shard-00000.safetensors"), join(twice, "shard-00001.safetensors"));
    await refused({ aligned: twice }, "expected 1 aligned shards, as many as the pivot has");
  });

  test("source shards that were not the aligned ones", async () => {
    await refused(
      { level: "row", source: join(golden, "pipeline/distributions/gemma2") },
      /conversation \d+ has no row \d+ that starts where row \d+ of the pivot starts; these are not the source shards/,
    );
  });

  test("conversations that are all cut before their first response", async () => {
    const shard = await readDistributionsShard(join(pivot, "shard-00000.safetensors"));
    const none = { ...shard, metadata: { ...shard.metadata, maxLength: 4 }, rowStart: new Float64Array(9) };
    const { turn, byteStart, byteEnd, lead, token, labelLogp, topId, topLogp } = shard;
    const columns = { turn, byteStart, byteEnd, lead, token, labelLogp, topId, topLogp };
    for (const [name, column] of Object.entries(columns)) Object.assign(none, { [name]: column.slice(0, 0) });
    none.bytes.fill(0);
    await writeDistributionsShard(join(folder, "no-rows/shard-00000.safetensors"), none);
    const { aligned: _, ...plain } = options("bad-no-rows", { pivot: join(folder, "no-rows") });
    await expect(fuse(plain)).rejects.toThrow(
      "holds no rows: with max_length 4 every conversation is cut before its first response",
    );
  });

  test("a folder that holds something else", async () => {
    const out = join(folder, "occupied");
    await cp(model, out, { recursive: true });
    await expect(fuse(options("occupied"))).rejects.toThrow(
      /occupied: exists and holds .*, but no target of this program; choose another folder/,
    );
  });

  test("no shards at all", async () => {
    await refused({ pivot: join(folder, "nowhere") }, /nowhere: no such file or folder/);
  });
});
