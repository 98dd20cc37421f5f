/** The verb as a process, against distributions computed by an independent implementation. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readDistributionsShard } from "#src/distributions/shard-file.js";
import { halfToNumber } from "#src/formats/float.js";
import { readSafetensors } from "#src/formats/safetensors.js";
import { fusechat, jsonLines } from "../cli/command.ts";

const golden = resolve(import.meta.dirname, "../golden");
const data = join(golden, "pipeline/conversations.jsonl");
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-distributions-verb-"));
});
afterAll(() => rm(root, { recursive: true }));

/** What differs between float32 implementations, in nats. */
const TOLERANCE = 1e-4;

describe.each(["mistral", "qwen2"])("fusechat distributions with the golden %s", (name) => {
  test("gives the golden rows, label probabilities and top-K", async () => {
    const out = join(root, name);
    const run = await fusechat(
      "distributions",
      "--model",
      join(golden, "models", name),
      "--data",
      data,
      "--out",
      out,
      "--json",
    );
    expect(run.stderr).toBe("");
    expect(run.code).toBe(0);
    const shard = await readDistributionsShard(join(out, "shard-00000.safetensors"));
    const folder = join(golden, "pipeline/distributions", name);
    const expected = await readDistributionsShard(join(folder, "shard-00000.safetensors"));
    expect(jsonLines(run).at(-1)).toMatchObject({ type: "result", model: name, rows: expected.token.length });

    expect(shard.metadata).toEqual(expected.metadata);
    for (const key of [
      "conversation",
      "conversationSha256",
      "idsSha256",
      "bytes",
      "rowStart",
      "turn",
      "byteStart",
      "byteEnd",
      "lead",
      "token",
      "endOfTurn",
      "leftOutRow",
      "leftOut",
    ] as const) {
      expect([key, shard[key]]).toEqual([key, expected[key]]);
    }
    for (let row = 0; row < expected.labelLogp.length; row++) {
      expect(Math.abs(shard.labelLogp[row]! - expected.labelLogp[row]!)).toBeLessThan(TOLERANCE);
    }
    const { tensors } = await readSafetensors(join(folder, "reference.safetensors"));
    const reference = tensors.get("top_logp_f32")!.data as Float32Array;
    for (let i = 0; i < reference.length; i++) {
      // The stored value is the exact one to within the tolerance and half a step of float16.
      const step = 2 ** (Math.floor(Math.log2(Math.max(-reference[i]!, 2 ** -14))) - 10);
      expect(Math.abs(halfToNumber(shard.topLogp[i]!) - reference[i]!)).toBeLessThan(TOLERANCE + step / 2);
      if (shard.topId[i] === expected.topId[i]) continue;
      const neighbours = [i - 1, i + 1].filter((j) => Math.abs(reference[j]! - reference[i]!) < TOLERANCE);
      expect(neighbours.map((j) => expected.topId[j])).toContain(shard.topId[i]);
    }
  });
});

describe("fusechat distributions", () => {
  test("run again says that everything was there", async () => {
    const out = join(root, "again");
    const command = [
      "distributions",
      "--model",
      join(golden, "models/qwen2"),
      "--data",
      data,
      "--out",
      out,
      "--top-k",
      "2",
    ];
    const first = await fusechat(...command);
    expect(first.stdout).toMatch(/351 rows of 8 conversations, [\d,]+ rows a second, 6\.\d{4} nats per byte/);
    const second = await fusechat(...command);
    expect(second.code).toBe(0);
    expect(second.stderr).toContain("351 rows of 8 conversations in 1 shard (1 already there)");
    const other = await fusechat(...command.slice(0, -1), "3");
    expect(other).toMatchObject({ code: 2, stdout: "" });
    expect(other.stderr).toContain('"top_k" is 2 there and 3 here');
    const later = await fusechat(...command, "--date", "2025-02-01");
    expect(later).toMatchObject({ code: 2, stdout: "" });
    expect(later.stderr).toContain('"date" is "2025-01-01" there and "2025-02-01" here');
    const variable = await fusechat(...command, "--template-variable", "enable_thinking=false");
    expect(variable).toMatchObject({ code: 2, stdout: "" });
    expect(variable.stderr).toContain('"template_variables" is "{}" there and ');
  });

  test("refuses what is missing or wrong with exit code 2, and writes nothing", async () => {
    const out = join(root, "none");
    const model = join(golden, "models/qwen2");
    const missing = await fusechat("distributions", "--model", join(root, "no-model"), "--data", data, "--out", out);
    expect(missing.code).toBe(2);
    expect(missing.stderr).toContain(join(root, "no-model"));
    const lines = join(root, "bad.jsonl");
    await writeFile(lines, "not json\n");
    const unreadable = await fusechat("distributions", "--model", model, "--data", lines, "--out", out);
    expect(unreadable.code).toBe(2);
    expect(unreadable.stderr).toContain(`${lines}:1`);
    const template = await fusechat(
      "distributions",
      "--model",
      model,
      "--data",
      data,
      "--out",
      out,
      "--template",
      "pivot",
    );
    expect(template).toMatchObject({ code: 2, stdout: "" });
    expect(template.stderr).toContain("--template-model: is needed with --template pivot");
    const misfit = join(root, "misfit");
    await cp(join(golden, "models/mistral"), misfit, { recursive: true });
    const config = await readFile(join(misfit, "config.json"), "utf8");
    await writeFile(join(misfit, "config.json"), config.replace(/"vocab_size": *479/, '"vocab_size": 480'));
    const misshapen = await fusechat("distributions", "--model", misfit, "--data", data, "--out", out);
    expect(misshapen.code).toBe(2);
    expect(misshapen.stderr).toContain('"lm_head.weight": the config asks for [480, 48], found [479, 48]');
    expect(await readdir(root)).not.toContain("none");
  });
});
