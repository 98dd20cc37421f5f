import { createHash } from "node:crypto";
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
import { readSafetensors } from "#src/formats/safetensors.js";
import { type ReporterEvent, silent } from "#src/reporter.js";
import { fakeEngine } from "./fake-engine.ts";

const golden = resolve(import.meta.dirname, "../golden");
const VOCABULARY = 479;
let root: string;
let conversations: Conversation[];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-collect-"));
  conversations = (await readConversations(join(golden, "pipeline/conversations.jsonl"))).conversations;
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

describe("sampled rows", () => {
  /** The numbers that rows were asked for by, by the ids of their sequence. */
  function listening(): { readonly engine: ReturnType<typeof fakeEngine>; readonly heard: Map<string, number[]> } {
    const fake = fakeEngine(VOCABULARY);
    const heard = new Map<string, number[]>();
    const open: typeof fake.open = async (folder, work) => {
      const model = await fake.open(folder, work);
      return {
        ...model,
        rows: (sequences, topK, watch) => {
          for (const { ids, uniform = [] } of sequences) heard.set([...ids].join(" "), [...uniform]);
          return model.rows(sequences, topK, watch);
        },
      };
    };
    return { engine: { ...fake, open }, heard };
  }

  test("are asked for by numbers that follow from seed and conversation, and say what they are", async () => {
    const [one, two, three] = [listening(), listening(), listening()];
    const sampled = { rows: "sampled", seed: 7 } as const;
    await collectDistributions(options("sampled", sampled), { engine: one.engine, reporter: silent });
    const more = { ...sampled, shardConversations: 8, conversations: conversations.toReversed() };
    await collectDistributions(options("sampled-otherwise", more), { engine: two.engine, reporter: silent });
    await collectDistributions(options("sampled-seed", { ...sampled, seed: 8 }), {
      engine: three.engine,
      reporter: silent,
    });
    expect(new Map([...two.heard].sort())).toEqual(new Map([...one.heard].sort()));
    expect(three.heard).not.toEqual(one.heard);
    const numbers = [...one.heard.values()].flat();
    expect(numbers).toHaveLength(367);
    expect(new Set(numbers).size).toBeGreaterThan(360);
    for (const number of numbers) expect(number >= 0 && number < 1).toBe(true);
    const path = join(root, "sampled/shard-00000.safetensors");
    expect((await readDistributionsShard(path)).metadata).toMatchObject({ rows: "sampled", topK: 3 });
    expect((await readSafetensors(path)).metadata).toMatchObject({
      format: "fusechat-distributions-3",
      rows: "sampled",
    });
    const otherwise = collectDistributions(options("sampled"), { engine: fakeEngine(VOCABULARY), reporter: silent });
    await expect(otherwise).rejects.toThrow('"rows" is "sampled" there and nothing here');
  });

  test("are refused of a server, which tells the most probable tokens alone", async () => {
    const served = { kind: "vllm", model: "mistral" } as never;
    const engine = { ...fakeEngine(VOCABULARY), served };
    const collecting = collectDistributions(options("sampled-served", { rows: "sampled" }), {
      engine,
      reporter: silent,
    });
    await expect(collecting).rejects.toThrow(
      "servers tell the most probable tokens of a row and no others; take rows: top",
    );
  });
});

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

  test("ties every conversation to what was said, and to the ids that were read", async () => {
    const shard = await readDistributionsShard(join(root, "plain/shard-00001.safetensors"));
    const rendered = (await readFile(join(golden, "pipeline/rows/mistral.jsonl"), "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; ids: number[] })
      .slice(3, 6);
    const hex = (bytes: Uint8Array, place: number) =>
      Buffer.from(bytes.subarray(32 * place, 32 * (place + 1))).toString("hex");
    for (const [place, { id, ids }] of rendered.entries()) {
      expect(hex(shard.conversationSha256, place)).toBe(id);
      const words = Buffer.alloc(4 * ids.length);
      for (const [index, value] of ids.entries()) words.writeInt32LE(value, 4 * index);
      expect(hex(shard.idsSha256, place)).toBe(createHash("sha256").update(words).digest("hex"));
    }
    // One answer, three, and one: every one is ended.
    expect(Array.from(shard.endOfTurn, (row) => shard.turn[row])).toEqual([1, 2, 4, 6, 1]);
    expect(new Set(Array.from(shard.endOfTurn, (row) => shard.token[row]))).toEqual(new Set([477]));
    expect([shard.leftOutRow.length, shard.leftOut.length]).toEqual([0, 0]);
  });

  test("tells rows of every shard by their places in it, also what is left out", async () => {
    const turns = (thought: string) => [
      { role: "user" as const, content: "q" },
      { role: "assistant" as const, content: `<think>\n${thought}\n</think>\n\n42` },
      { role: "user" as const, content: "r" },
      { role: "assistant" as const, content: "s" },
    ];
    const talks = ["sum", "sum", "sun", "sum"].map((thought): Conversation => {
      return { id: conversationId(turns(thought)), turns: turns(thought) };
    });
    const changes = { model: join(golden, "models/qwen3"), conversations: talks, shardConversations: 3 };
    const summary = await collectDistributions(options("left-out", changes), {
      engine: fakeEngine(418),
      reporter: silent,
    });
    expect(summary).toMatchObject({ left_out_in: 4, without_end_of_turn: 0 });
    const first = await readDistributionsShard(join(root, "left-out/shard-00000.safetensors"));
    const second = await readDistributionsShard(join(root, "left-out/shard-00001.safetensors"));
    expect(Array.from(first.leftOutRow)).toEqual(Array.from(first.rowStart.subarray(0, 3)));
    expect(first.leftOut[1]).toBe(first.leftOut[0]);
    expect(first.leftOut[2]).not.toBe(first.leftOut[0]);
    expect(first.endOfTurn).toHaveLength(6);
    expect(Array.from(first.endOfTurn, (row) => first.byteStart[row] === first.byteEnd[row])).not.toContain(false);
    expect([second.leftOutRow[0], second.leftOut[0]]).toEqual([0, first.leftOut[0]]);
    // The same conversation and the same ids have the same hashes, whatever their shard.
    expect(first.idsSha256.slice(0, 32)).toEqual(second.idsSha256.slice(0, 32));
    expect(first.conversationSha256.slice(0, 32)).toEqual(second.conversationSha256.slice(0, 32));
    // Another thought is another conversation, but this template reads the same of both.
    expect(first.idsSha256.slice(64, 96)).toEqual(second.idsSha256.slice(0, 32));
    expect(first.conversationSha256.slice(64, 96)).not.toEqual(second.conversationSha256.slice(0, 32));
  });

  test("counts answers that nothing ends, and warns of them", async () => {
    const events: ReporterEvent[] = [];
    const summary = await collectDistributions(
      options("unended", {
        model: join(golden, "models/qwen2"),
        template: "pivot",
        templateFolder: join(golden, "models/mistral"),
      }),
      { engine: fakeEngine(418), reporter: { report: (event) => events.push(event) } },
    );
    // The pivot's end of turn is no token here: eight conversations of ten answers.
    expect(summary).toMatchObject({ without_end_of_turn: 10, left_out_in: 0 });
    expect(events.flatMap((event) => (event.type === "warning" ? [event.message] : []))).toEqual([
      "the template closes 10 answers with no token of its own: they have no end-of-turn row, and nothing teaches a model to end there",
    ]);
  });

  test("stores date, variables and name of the template, and hashes of what it is", async () => {
    const settings = { date: "2024-02-29", variables: { b: 1, a: [true] } };
    await collectDistributions(options("settings", { templateSettings: settings }), {
      engine: fakeEngine(VOCABULARY),
      reporter: silent,
    });
    const { metadata } = await readDistributionsShard(join(root, "settings/shard-00000.safetensors"));
    const config = JSON.parse(await readFile(join(golden, "models/mistral/tokenizer_config.json"), "utf8"));
    expect(metadata).toMatchObject({
      date: "2024-02-29",
      templateVariables: '{"a":[true],"b":1}',
      templateName: "default",
      templateSha256: createHash("sha256").update(config.chat_template).digest("hex"),
      specialTokensSha256: createHash("sha256")
        .update('{"bos_token":"<s>","eos_token":"<|end_of_turn|>","unk_token":"<unk>"}')
        .digest("hex"),
    });
    expect(JSON.parse(await readFile(join(root, "settings/settings.json"), "utf8"))).toMatchObject({
      date: "2024-02-29",
      template_variables: '{"a":[true],"b":1}',
    });
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
    const settings = (date: string, variables: Record<string, unknown> = {}) => ({
      templateSettings: { date, variables },
    });
    await expect(run(settings("2025-02-01"), "owned")).rejects.toThrow(
      `${folder}: belongs to other settings: "date" is "2025-01-01" there and "2025-02-01" here; give another folder or remove this one`,
    );
    await expect(run(settings("2025-01-01", { thinking: false }), "owned")).rejects.toThrow(
      '"template_variables" is "{}" there and "{\\"thinking\\":false}" here',
    );
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

  test("a shard in the folder that was made with other special tokens, or on another day", async () => {
    await run({}, "foreign");
    const path = join(root, "foreign/shard-00001.safetensors");
    const shard = await readDistributionsShard(path);
    const write = (changes: object) =>
      writeDistributionsShard(path, { ...shard, metadata: { ...shard.metadata, ...changes } });
    await write({ date: "2025-02-01" });
    await expect(run({}, "foreign")).rejects.toThrow(
      `${path}: its date is "2025-02-01", expected "2025-01-01"; remove it`,
    );
    await write({ specialTokensSha256: "0" });
    await expect(run({}, "foreign")).rejects.toThrow(`${path}: its specialTokensSha256 is "0", expected "`);
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
