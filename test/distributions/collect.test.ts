import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Conversation, conversationId } from "#src/data/conversation.js";
import { readConversations } from "#src/data/read.js";
import { type CollectOptions, collectDistributions } from "#src/distributions/collect.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import { callTokens } from "#src/distributions/teacher-pass.js";
import { halfToNumber } from "#src/formats/float.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { fakeEngine } from "./fake-engine.ts";

const golden = resolve(import.meta.dirname, "../golden");
const VOCABULARY = 479;
let root: string;
let conversations: Conversation[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-collect-"));
  conversations = await readConversations(join(golden, "pipeline/conversations.jsonl"));
});
afterAll(() => rm(root, { recursive: true }));

function options(out: string, changes: Partial<CollectOptions> = {}): CollectOptions {
  return {
    model: join(golden, "models/mistral"),
    conversations,
    out: join(root, out),
    topK: 3,
    maxLength: 2048,
    template: "native",
    shardConversations: 3,
    ...changes,
  };
}

async function filesOf(folder: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const name of (await readdir(folder)).sort())
    files[name] = (await readFile(join(folder, name))).toString("base64");
  return files;
}

/** A copy of the golden qwen2 whose template refuses system turns, or everything. */
async function refusingModel(name: string, condition: string): Promise<string> {
  const folder = join(root, name);
  await cp(join(golden, "models/qwen2"), folder, { recursive: true });
  await rm(join(folder, "chat_template.jinja"), { force: true });
  const path = join(folder, "tokenizer_config.json");
  const config = JSON.parse(await readFile(path, "utf8"));
  config.chat_template =
    `{% for m in messages %}{% if ${condition} %}{{ raise_exception('no system turns here') }}{% endif %}` +
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  await writeFile(path, JSON.stringify(config));
  return folder;
}

describe("collecting distributions", () => {
  test("writes shards, the tokenizer's files, settings first and a manifest last", async () => {
    const summary = await collectDistributions(options("plain"), { engine: fakeEngine(VOCABULARY), reporter: silent });
    expect(Object.keys(await filesOf(join(root, "plain")))).toEqual([
      "manifest.json",
      "settings.json",
      "shard-00000.safetensors",
      "shard-00001.safetensors",
      "shard-00002.safetensors",
      "special_tokens_map.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(summary).toMatchObject({
      model: "mistral",
      kept_shards: 0,
      conversations: 8,
      refused: [],
      rows: 367,
      bytes: 453,
    });
    expect(summary.shards.map(({ rows }) => rows)).toEqual([97, 157, 113]);
    const manifest = JSON.parse(await readFile(join(root, "plain/manifest.json"), "utf8"));
    expect(manifest).toMatchObject({ rows: 367, conversations: 8, settings: { top_k: 3, vocabulary: 479 } });
    expect(manifest.nats_per_byte).toBe(summary.nats_per_byte);
  });

  test("stores what the engine says, rounding above zero taken back", async () => {
    const engine = fakeEngine(VOCABULARY, (rows) => {
      rows.labelLogp[0] = 1e-6;
      rows.topLogp[0] = 1e-6;
      return rows;
    });
    await collectDistributions(options("values", { shardConversations: 8 }), { engine, reporter: silent });
    const shard = await readDistributionsShard(join(root, "values/shard-00000.safetensors"));
    expect(shard.labelLogp[0]).toBe(0);
    expect(shard.labelLogp[1]).toBe(-1 - (shard.token[1]! % 7));
    expect(Array.from(shard.topLogp.subarray(0, 6), halfToNumber)).toEqual([0, -10, -15, -5, -10, -15]);
    expect(Array.from(shard.topId.subarray(3, 6), (id) => id - shard.token[0]!)).toEqual([0, 1, 2]);
  });

  test("interrupted and continued, ends with the same bytes and computes nothing twice", async () => {
    await collectDistributions(options("whole"), { engine: fakeEngine(VOCABULARY), reporter: silent });

    const interrupt = new AbortController();
    const first = fakeEngine(VOCABULARY);
    const reporter = {
      report: (event: ReporterEvent) => {
        if (event.type === "progress" && event.done === 3) interrupt.abort();
      },
    };
    const interrupted = collectDistributions(options("continued"), {
      engine: first,
      reporter,
      signal: interrupt.signal,
    });
    await expect(interrupted).rejects.toMatchObject({ exitCode: 130 });
    expect(await readdir(join(root, "continued"))).not.toContain("manifest.json");

    const second = fakeEngine(VOCABULARY);
    const summary = await collectDistributions(options("continued"), { engine: second, reporter: silent });
    expect(summary.kept_shards).toBe(1);
    expect([first.calls, second.calls]).toEqual([[3], [3, 2]]);
    expect(await filesOf(join(root, "continued"))).toEqual(await filesOf(join(root, "whole")));

    const third = fakeEngine(VOCABULARY);
    expect((await collectDistributions(options("continued"), { engine: third, reporter: silent })).kept_shards).toBe(3);
    expect(third.calls).toEqual([]);
  });

  test("interrupted within a shard, continues where it was, also after a kill, with the same bytes", async () => {
    // Some 6,000 tokens each, and 32,768 go to the engine at once.
    const answer = "A long answer has many words. ".repeat(600);
    const long = Array.from({ length: 14 }, (_, n): Conversation => {
      const turns = [
        { role: "user" as const, content: `Question ${n}` },
        { role: "assistant" as const, content: answer },
      ];
      return { id: conversationId(turns), turns };
    });
    const changes = { conversations: long, maxLength: 100_000, shardConversations: 14 };
    const whole = fakeEngine(VOCABULARY);
    await collectDistributions(options("one-go", changes), { engine: whole, reporter: silent });
    expect(whole.calls.length).toBeGreaterThan(2);

    const interrupt = new AbortController();
    const first = fakeEngine(VOCABULARY, (rows) => {
      interrupt.abort();
      return rows;
    });
    const context = { engine: first, reporter: silent, signal: interrupt.signal };
    await expect(collectDistributions(options("parts", changes), context)).rejects.toMatchObject({ exitCode: 130 });
    expect(first.calls).toEqual(whole.calls.slice(0, 1));
    expect(await readdir(join(root, "parts"))).toContain("shard-00000.safetensors.unfinished");

    let calls = 0;
    const killed = fakeEngine(VOCABULARY, (rows) => {
      if (++calls === 2) throw new Error("killed");
      return rows;
    });
    const again = collectDistributions(options("parts", changes), { engine: killed, reporter: silent });
    await expect(again).rejects.toThrow("killed");
    const last = fakeEngine(VOCABULARY);
    await collectDistributions(options("parts", changes), { engine: last, reporter: silent });
    expect(last.calls).toEqual(whole.calls.slice(2));
    expect(await filesOf(join(root, "parts"))).toEqual(await filesOf(join(root, "one-go")));
  });

  test("leaves out what the template refuses, counts it and says why", async () => {
    const model = await refusingModel("no-system", "m.role == 'system'");
    const events: ReporterEvent[] = [];
    const summary = await collectDistributions(options("refused", { model, name: "qwen" }), {
      engine: fakeEngine(418),
      reporter: { report: (event) => events.push(event) },
    });
    expect(summary).toMatchObject({ model: "qwen", conversations: 7, refused: [4] });
    const shard = await readDistributionsShard(join(root, "refused/shard-00001.safetensors"));
    expect(Array.from(shard.conversation)).toEqual([3, 5]);
    const warnings = events.filter((event) => event.type === "warning");
    expect(warnings).toHaveLength(1);
    expect(warnings[0]!.message).toMatch(/^1 conversation left out \(the first: 4\): .*no system turns here/);
  });

  test("reports conversations done, of how many", async () => {
    const events: ReporterEvent[] = [];
    await collectDistributions(options("progress"), {
      engine: fakeEngine(VOCABULARY),
      reporter: { report: (event) => events.push(event) },
    });
    const done = events.flatMap((event) => (event.type === "progress" ? [`${event.done}/${event.total}`] : []));
    expect(done).toEqual(["3/8", "6/8", "8/8"]);
  });
});

describe("a collection that cannot be made is refused:", () => {
  const run = (changes: Partial<CollectOptions>, out = "refusals") =>
    collectDistributions(options(out, changes), { engine: fakeEngine(VOCABULARY), reporter: silent });

  test("a folder that belongs to other settings, by the key that differs", async () => {
    await run({}, "owned");
    const folder = join(root, "owned");
    await expect(run({ topK: 4 }, "owned")).rejects.toThrow(
      `${folder}: belongs to other settings: "top_k" is 3 there and 4 here; give another folder or remove this one`,
    );
    await expect(run({ maxLength: 100 }, "owned")).rejects.toThrow('"max_length" is 2048 there and 100 here');
    const turns = [...conversations[0]!.turns];
    turns[1] = { role: "assistant", content: "No" };
    const changed = [{ id: conversationId(turns), turns }, ...conversations.slice(1)];
    await expect(run({ conversations: changed }, "owned")).rejects.toThrow('"conversations_sha256" is');
  });

  test("a top_k beyond the vocabulary", async () => {
    await expect(run({ topK: 480 })).rejects.toThrow("top_k is 480, but the model has only 479 tokens");
  });

  test("conversations that the template refuses altogether, and nothing is written", async () => {
    const model = await refusingModel("nothing", "true");
    await expect(run({ model }, "nothing-out")).rejects.toThrow(
      `${model}: none of the 8 conversations can be used; the template refuses: `,
    );
    expect(await readdir(root)).not.toContain("nothing-out");
  });

  test("responses none of which fits, and no conversations at all", async () => {
    await expect(run({ maxLength: 2 })).rejects.toThrow(
      "none of the 8 conversations can be used; none has a response within max_length",
    );
    await expect(run({ conversations: [] })).rejects.toThrow("distributions: there are no conversations");
  });

  test("numbers that make no sense, and a pivot's template that nobody named", async () => {
    await expect(run({ topK: 0 })).rejects.toThrow("expected top_k to be a whole number of at least 1, found 0");
    await expect(run({ template: "pivot" })).rejects.toThrow("no folder that holds it was given");
  });

  test("a shard in the folder that belongs to other conversations", async () => {
    await run({}, "mixed");
    const path = join(root, "mixed/shard-00001.safetensors");
    await writeDistributionsShard(path, await readDistributionsShard(join(root, "mixed/shard-00000.safetensors")));
    await expect(run({}, "mixed")).rejects.toThrow(`${path}: holds conversation 0, expected 3 to 5; remove it`);
  });

  test.each([
    ["no numbers", "labelLogp", Number.NaN, "the label's log-probability came out as NaN"],
    ["nought", "labelLogp", -Infinity, "the label's log-probability came out as -Infinity"],
    ["above one by more than rounding", "labelLogp", 2 ** -9, "the label's log-probability came out as 0.001953125"],
    ["no numbers among the likeliest", "topLogp", Number.NaN, "a token's log-probability came out as NaN"],
    ["above one among the likeliest", "topLogp", 2 ** -9, "a token's log-probability came out as 0.001953125"],
  ] as const)(
    "a model whose probabilities are %s, with exit code 1 and without a shard",
    async (_, where, value, message) => {
      const engine = fakeEngine(VOCABULARY, (rows) => {
        rows[where][where === "labelLogp" ? 12 : 3 * 12] = value;
        return rows;
      });
      const collecting = collectDistributions(options("nan"), { engine, reporter: silent });
      await expect(collecting).rejects.toMatchObject({
        exitCode: 1,
        message: `${join(golden, "models/mistral")}: conversation 1: ${message}`,
      });
      expect(await readdir(join(root, "nan"))).not.toContain("shard-00000.safetensors");
    },
  );

  test("but a logarithm above nought by a rounding counts as nought", async () => {
    const engine = fakeEngine(VOCABULARY, (rows) => {
      rows.labelLogp[12] = 9e-4;
      rows.topLogp[3 * 12] = 9e-4;
      return rows;
    });
    await collectDistributions(options("rounded"), { engine, reporter: silent });
    const shard = await readDistributionsShard(join(root, "rounded/shard-00000.safetensors"));
    expect([shard.labelLogp[12], halfToNumber(shard.topLogp[3 * 12]!)]).toEqual([0, 0]);
  });
});

test("a call to the engine has fewer tokens for larger models, within bounds", () => {
  expect([0, 3.5e6, 1.1e9].map(callTokens)).toEqual([32_768, 32_768, 31_818]);
  expect([3.5e9, 72e9].map(callTokens)).toEqual([10_000, 8_192]);
});
