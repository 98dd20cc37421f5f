/** The files of the output that are not weights. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { writeSafetensors } from "#src/formats/safetensors.js";
import { mergeModels } from "#src/merge/merge.js";
import { checkMergeConfig } from "#src/merge/read-config.js";
import { silent } from "#src/reporter.js";

let root: string;
let folder: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "fusechat-merge-files-"));
});

beforeEach(async () => {
  folder = await mkdtemp(join(root, "case-"));
});

afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** One tensor, and files by their names: text as it is, all else as JSON. */
async function model(name: string, files: Readonly<Record<string, unknown>>): Promise<void> {
  await mkdir(join(folder, name));
  const tensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) } as const;
  await writeSafetensors(join(folder, name, "model.safetensors"), [["model.norm.weight", tensor]]);
  for (const [file, content] of Object.entries({ "config.json": {}, ...files })) {
    await writeFile(join(folder, name, file), typeof content === "string" ? content : JSON.stringify(content));
  }
}

async function merge(config: object): Promise<(file: string) => Promise<string>> {
  const out = join(folder, "out");
  await mergeModels(checkMergeConfig(config, "test"), { out, baseFolder: folder }, { reporter: silent });
  return (file) => readFile(join(out, file), "utf8");
}

const linear = (...models: string[]) => ({
  merge_method: "linear",
  parameters: { weight: 1 },
  models: models.map((name) => ({ model: name })),
});

describe("number literals", () => {
  test("of the config stay as they were written", async () => {
    const config = '{"cap": 30.0, "eps": 1e-05, "limit": [0.0, Infinity], "big": 9007199254740993, "torch_dtype": "x"}';
    await model("a", { "config.json": config, "generation_config.json": '{"temperature": 1.0}' });
    const text = await merge(linear("a"));
    expect((await text("config.json")).replaceAll(/\s+/g, " ")).toBe(
      '{ "cap": 30.0, "eps": 1e-05, "limit": [ 0.0, Infinity ], "big": 9007199254740993, "torch_dtype": "float32" } ',
    );
    expect(await text("generation_config.json")).toBe('{"temperature": 1.0}');
  });

  test("of files that follow another tokenizer stay, too", async () => {
    const tokenizer = (tokens: string) =>
      `{"added_tokens": [], "model": {"type": "Unigram", "vocab": [${tokens}], "dropout": 0.0}}`;
    const more = { "generation_config.json": '{"top_p": 1.0, "eos_token_id": 1}' };
    const config = { "tokenizer_config.json": '{"model_max_length": 1e30, "chat_template": "x"}' };
    await model("a", { "tokenizer.json": tokenizer('["<s>", 0.0], ["a", -1.0]'), ...more, ...config });
    await model("b", { "tokenizer.json": tokenizer('["a", 0.0], ["b", -2.50]'), ...more, ...config });
    const text = await merge({ ...linear("a", "b"), tokenizer_source: "union" });
    expect(await text("tokenizer.json")).toContain("-1.0");
    expect(await text("tokenizer.json")).toContain('"dropout": 0.0');
    expect(await text("tokenizer_config.json")).toContain('"model_max_length": 1e30');
    expect(await text("generation_config.json")).toContain('"top_p": 1.0');
  });
});
