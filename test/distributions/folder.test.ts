import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSettings, listShards, shardName, writeSettings } from "#src/distributions/folder.js";
import { readDistributions } from "#src/distributions/read-folder.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { writeDistributionsShard } from "#src/distributions/shard-file.js";
import { shardMetadata, smallShard } from "./shard-fixture.ts";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-folder-"));
});
afterAll(() => rm(root, { recursive: true }));

async function folderWith(name: string, files: readonly string[]): Promise<string> {
  const folder = join(root, name);
  await mkdir(folder);
  for (const file of files) await writeFile(join(folder, file), "{}");
  return folder;
}

describe("listing shards", () => {
  test("gives their paths in order and nothing else", async () => {
    const folder = await folderWith("listed", ["shard-00001.safetensors", "shard-00000.safetensors", "tokenizer.json"]);
    expect(await listShards(folder)).toEqual([0, 1].map((index) => join(folder, shardName(index))));
  });

  test("refuses a folder with a gap, one without shards and one that is not there", async () => {
    const gap = await folderWith("gap", ["shard-00000.safetensors", "shard-00002.safetensors"]);
    await expect(listShards(gap)).rejects.toThrow(
      `${gap}: shard-00001.safetensors is missing, though the folder has 2 shards`,
    );
    const empty = await folderWith("empty", ["tokenizer.json"]);
    await expect(listShards(empty)).rejects.toThrow(
      `${empty}: expected shards (shard-00000.safetensors and so on), found none`,
    );
    await expect(listShards(join(root, "none"))).rejects.toThrow(`${join(root, "none")}: no such file or folder`);
  });

  test("refuses a folder whose work was interrupted, and takes it once it is closed", async () => {
    const folder = await folderWith("begun", ["settings.json", "shard-00000.safetensors"]);
    await expect(listShards(folder)).rejects.toThrow(`${folder}: its shards are unfinished`);
    await writeFile(join(folder, "alignment.json"), "{}");
    expect(await listShards(folder)).toHaveLength(1);
  });
});

describe("the settings of a folder", () => {
  test("are accepted again, and others refused by the first key that differs", async () => {
    const folder = join(root, "settings");
    const settings = { model: "a", top_k: 10 };
    await checkSettings(folder, settings);
    await writeSettings(folder, settings);
    await checkSettings(folder, settings);
    await expect(checkSettings(folder, { model: "a", top_k: 5 })).rejects.toThrow(
      `${folder}: belongs to other settings: "top_k" is 10 there and 5 here`,
    );
    await expect(checkSettings(folder, { model: "a" })).rejects.toThrow('"top_k" is 10 there and nothing here');
  });

  test("protect shards of unknown origin", async () => {
    const folder = await folderWith("foreign", ["shard-00000.safetensors"]);
    await expect(checkSettings(folder, { model: "a" })).rejects.toThrow(`${folder}: holds shards but no settings.json`);
  });
});

describe("reading the shards of a folder", () => {
  async function collect(name: string, shards: readonly DistributionsShard[]): Promise<number[]> {
    const folder = await folderWith(name, []);
    for (const [index, shard] of shards.entries()) await writeDistributionsShard(join(folder, shardName(index)), shard);
    const conversations: number[] = [];
    for await (const { shard } of readDistributions(folder)) conversations.push(...shard.conversation);
    return conversations;
  }

  test("goes through them in order", async () => {
    const second = { ...smallShard(), conversation: Int32Array.of(4, 9) };
    expect(await collect("two", [smallShard(), second])).toEqual([0, 3, 4, 9]);
  });

  test("refuses shards of different models or prompts, and conversations that come again", async () => {
    const other = { ...smallShard(), metadata: { ...smallShard().metadata, model: "other" } };
    await expect(collect("models", [smallShard(), other])).rejects.toThrow('its model is "other", that of');
    for (const [key, value] of [
      ["date", "2025-02-01"],
      ["templateSha256", "f"],
      ["specialTokensSha256", "f"],
      ["templateName", "tool_use"],
      ["templateVariables", '{"level":1}'],
    ] as const) {
      const changed = { ...smallShard(), metadata: shardMetadata({ [key]: value }) };
      const found = collect(key, [smallShard(), { ...changed, conversation: Int32Array.of(4, 9) }]);
      await expect(found).rejects.toThrow(
        `${join(root, key, shardName(1))}: its ${key} is "${value}", that of ${join(root, key, shardName(0))} is "${shardMetadata()[key]}"`,
      );
    }
    await expect(
      collect("again", [smallShard(), { ...smallShard(), conversation: Int32Array.of(3, 4) }]),
    ).rejects.toThrow("begins with conversation 3, the shard before ends with 3");
  });
});
