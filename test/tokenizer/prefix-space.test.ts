import { existsSync } from "node:fs";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { tellMissing } from "../shared.ts";
import { editedFolder, type TokenizerFile } from "./edited-folder.ts";

const PUBLISHED = resolve(import.meta.dirname, "../../../shared/data/tokenizers");
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };

const made: string[] = [];
afterEach(async () => {
  for (const folder of made.splice(0)) await rm(folder, { recursive: true });
});

type Edit = (file: TokenizerFile, config: Record<string, unknown>) => void;

async function edited(model: string, edit: Edit): Promise<string> {
  const folder = await editedFolder(model, edit);
  made.push(folder);
  return folder;
}

describe("a byte-level tokenizer", () => {
  const withSteps = (steps: unknown, config: Record<string, unknown>) =>
    edited("qwen2", (file, written) => {
      file.normalizer = null;
      file.pre_tokenizer = steps;
      delete written.add_prefix_space;
      delete written.tokenizer_class;
      Object.assign(written, config);
    });
  const prefixed = { ...BYTE_LEVEL, add_prefix_space: true };
  const sequence = (step: object) => ({ type: "Sequence", pretokenizers: [step] });

  test.each([
    ["a single step takes true", BYTE_LEVEL, { add_prefix_space: true }, true],
    ["a single step takes false", prefixed, { add_prefix_space: false }, false],
    ["a single step takes a missing setting for false", prefixed, {}, false],
    ["a single step keeps its own where the setting is null", prefixed, { add_prefix_space: null }, true],
    ["a sequence keeps its own", sequence(BYTE_LEVEL), { add_prefix_space: true }, false],
    ["a sequence keeps its own too where it is true", sequence(prefixed), { add_prefix_space: false }, true],
    [
      "a sequence of Cohere takes true",
      sequence(BYTE_LEVEL),
      { add_prefix_space: true, tokenizer_class: "CohereTokenizerFast" },
      true,
    ],
  ])("%s, as in transformers 4", async (_, steps, config, hasPrefix) => {
    const tokenizer = await loadTokenizer(await withSteps(steps, config));
    const plain = await loadTokenizer(await withSteps(BYTE_LEVEL, {}));
    const ids = async (text: string) => [...(await tokenizer.encode(text)).ids];
    const plainIds = async (text: string) => [...(await plain.encode(text)).ids];
    const space = hasPrefix ? " " : "";
    expect(await ids("the<|im_end|>the")).toEqual(await plainIds(`${space}the<|im_end|>${space}the`));
    expect(await ids(" the")).toEqual(await plainIds(" the"));
    expect((await tokenizer.encode("the<|im_end|> the")).lead[0]).toBe(hasPrefix ? 1 : 0);
    expect(await tokenizer.firstTokenOf(Buffer.from("the"))).toBe((await plainIds("the"))[0]);
  });

  test("has true spans behind the prefix", async () => {
    const tokenizer = await loadTokenizer(await withSteps(BYTE_LEVEL, { add_prefix_space: true }));
    const text = "▁x<|im_end|>e\u0301 😊<|im_end|>\n";
    const { byteStart, byteEnd, ids } = await tokenizer.encode(text);
    expect(byteStart[0]).toBe(0);
    for (let index = 1; index < ids.length; index++) expect(byteStart[index]).toBe(byteEnd[index - 1]);
    expect(byteEnd.at(-1)).toBe(Buffer.byteLength(text));
  });
});

test("a setting that is neither true nor false is refused by name", async () => {
  const folder = await edited("qwen2", (_, config) => Object.assign(config, { add_prefix_space: "no" }));
  await expect(loadTokenizer(folder)).rejects.toThrow(
    /tokenizer_config\.json: add_prefix_space: expected true or false, found "no"/,
  );
});

describe.runIf(existsSync(PUBLISHED))("published tokenizers", () => {
  const ids = async (name: string, config: object, text: string, steps?: object) => {
    const folder = await mkdtemp(join(tmpdir(), "fusechat-prefix-"));
    made.push(folder);
    await cp(join(PUBLISHED, name), folder, { recursive: true });
    const change = async (file: string, edit: object) => {
      const path = join(folder, file);
      await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, "utf8")), ...edit }));
    };
    await change("tokenizer_config.json", config);
    if (steps !== undefined) await change("tokenizer.json", steps);
    return [...(await (await loadTokenizer(folder)).encode(text)).ids];
  };

  // The ids that transformers 4.57 gives.
  test.each([
    [{ add_prefix_space: null, legacy: false }, "Small words", [12827, 3085]],
    [{ add_prefix_space: false, legacy: false }, "Small words", [22349, 3085]],
    [{ add_prefix_space: false, legacy: false }, "a</s>b </s> c", [28708, 2, 28726, 28705, 2, 277]],
    [{ add_prefix_space: true, legacy: false }, "a</s>b </s> c", [264, 2, 28726, 28705, 2, 277]],
    [{ add_prefix_space: true }, "a</s>b </s> c", [264, 2, 287, 28705, 2, 28705, 277]],
    [{ add_prefix_space: false }, " Small", [12827]],
    [{ add_prefix_space: false, tokenizer_class: "PreTrainedTokenizerFast" }, "Small words", [12827, 3085]],
  ])("Mistral's with %j encodes %j as transformers 4 does", async (config, text, expected) => {
    expect(await ids("mistral-7b-v0.1", config, text)).toEqual(expected);
  });

  test("SmolLM2's with a single step does", async () => {
    const steps = { pre_tokenizer: BYTE_LEVEL };
    expect(await ids("smollm2", { add_prefix_space: true }, "Small words", steps)).toEqual([9946, 1924]);
    expect(await ids("smollm2", { add_prefix_space: true }, "▁x", steps)).toEqual([29566, 219, 104]);
    expect(await ids("smollm2", { add_prefix_space: true }, "Small words")).toEqual([20910, 1924]);
  });
});

tellMissing(existsSync(PUBLISHED), "published prefixes are not compared");
