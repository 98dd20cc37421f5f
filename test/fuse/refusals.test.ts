/** Input of the fuse stage that does not belong together: refused by name before a single step, nothing left behind. */
import { createHash } from "node:crypto";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readAlignedShard, writeAlignedShard } from "#src/align/shard-file.js";
import { conversationId } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import type { TemplateSettings } from "#src/data/template-settings.js";
import { collectDistributions } from "#src/distributions/collect.js";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import type { FuseOptions } from "#src/fuse/options.js";
import { silent } from "#src/reporter.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { fakeEngine as fakeReader } from "../distributions/fake-engine.ts";
import { cutShard } from "../distributions/shard-fixture.ts";
import { fakeEngine } from "./fake-engine.ts";

import {
  aligned,
  conversations,
  exists,
  folder,
  fuse,
  golden,
  model,
  options,
  pivot,
  source,
  useFolder,
} from "./golden-stage.ts";

useFolder();

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
    const groups = /^fuse: emphasis: gain goes by .*; take level: group, and leave shuffle on$/;
    await refused({ emphasis: "gain", level: "conversation" }, groups);
    await refused({ emphasis: "gain", level: "group", shuffle: false }, groups);
    await refused({ evenShare: 0 }, /^fuse: even-share: expected a number above 0, up to 1, found 0$/);
    await refused({ batch: 0 }, "fuse: batch: expected a whole number of at least 1, found 0");
    await refused({ lr: Number.NaN }, "fuse: lr: expected a number of at least 0, found NaN");
    await refused(
      { function: "min-cd" },
      'fuse: unknown fusion function "min-cd"; did you mean "min-ce"? (there is: min-ce, avg-ce, source)',
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

  describe("shards of other prompts:", () => {
    /** The pivot's shards, changed. */
    const changed = async (name: string, change: (shard: DistributionsShard) => void) => {
      const shard = await readDistributionsShard(join(pivot, "shard-00000.safetensors"));
      change(shard);
      await writeDistributionsShard(join(folder, name, "shard-00000.safetensors"), shard);
      return { pivot: join(folder, name) };
    };
    /** The pivot's model with another configuration of its tokenizer. */
    const configured = async (name: string, change: (config: Record<string, unknown>) => void): Promise<string> => {
      const other = await copy(model, name);
      const path = join(other, "tokenizer_config.json");
      const config = JSON.parse(await readFile(path, "utf8"));
      change(config);
      await writeFile(path, JSON.stringify(config));
      return other;
    };

    test("another chat template", async () => {
      const other = await configured("other-template", (config) => {
        config.chat_template = `${config.chat_template} `;
      });
      await refused(
        { model: other },
        new RegExp(
          `^${pivot}: was collected with another chat template \\(901b10d47195\\) than ${other} has now ` +
            "\\(\\w{12}\\); collect the distributions again$",
        ),
      );
    });

    test("other special tokens", async () => {
      const other = await configured("other-special-tokens", (config) => {
        config.pad_token = "<unk>";
      });
      await refused(
        { model: other },
        /mistral: was collected with other special tokens \(ce261bd988ae\) than .* has now \(\w{12}\); collect/,
      );
    });

    test("another conversation whose answers have the same rows", async () => {
      const other = await changed("other-conversation", ({ conversationSha256 }) => conversationSha256.fill(7, 64, 96));
      await refused(
        other,
        `${other.pivot}: conversation 2 is another one in the shards; the shards come from another data set, ` +
          `or from another tokenizer or template than that of ${model}`,
      );
    });

    test("another prompt before the same rows", async () => {
      const other = await changed("other-prompt", ({ idsSha256 }) => idsSha256.fill(7, 96, 97));
      await refused(
        other,
        `${other.pivot}: conversation 3 was read after another prompt than the one rendered now; the shards come from`,
      );
    });

    test("a date that is no day", async () => {
      const other = await changed("other-date", (shard) =>
        Object.assign(shard, { metadata: { ...shard.metadata, date: "yesterday" } }),
      );
      await refused(other, 'shard-00000.safetensors: expected the date as YYYY-MM-DD, found "yesterday"');
    });

    test("but the date and the variables are those of the shards", async () => {
      const dated = await configured("dated", (config) => {
        config.chat_template = `{{ strftime_now('%d %m %Y') }}{{ level }}${config.chat_template}`;
      });
      const collect = (name: string, templateSettings: TemplateSettings) =>
        collectDistributions(
          {
            ...{ model: dated, conversations, out: join(folder, name), topK: 2, maxLength: 512, template: "native" },
            templateSettings,
          },
          { engine: fakeReader(479), reporter: silent },
        );
      await collect("dated-shards", { date: "2024-02-29", variables: { level: "low" } });
      const { aligned: _, ...plain } = options("dated-out", { model: dated, pivot: join(folder, "dated-shards") });
      const engine = fakeEngine();
      await fuse({ ...plain, epochs: 1 }, engine);
      const { sequences } = engine.steps[0]!;
      const tokenizer = await loadTokenizer(dated);
      expect(tokenizer.decode(sequences[0]!.ids)).toContain("29 02 2024low");
    });
  });

  test("another data set", async () => {
    const others = (await readConversations(join(golden, "pipeline/held_out.jsonl"))).conversations;
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
    const { conversation, conversationSha256 } = shard;
    const lines = (await readFile(join(golden, "pipeline/rows/mistral.jsonl"), "utf8")).trim().split("\n");
    const cut = lines.map((line) => Int32Array.from(JSON.parse(line).ids.slice(0, 4)));
    const idsSha256 = Uint8Array.from(cut.flatMap((ids) => [...createHash("sha256").update(ids).digest()]));
    const none = {
      ...cutShard(shard, 0, 0),
      metadata: { ...shard.metadata, maxLength: 4 },
      ...{ conversation, conversationSha256, idsSha256 },
      bytes: new Int32Array(8),
      rowStart: new Float64Array(9),
    };
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
