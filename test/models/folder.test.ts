import { mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { copyModelFiles } from "#src/models/folder.js";

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "fusechat-folder-"));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}

const json = async (path: string): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));

test("config, tokenizer and template are copied, weights and other files are not", async () => {
  const from = await folder({
    "config.json": '{"model_type": "llama", "torch_dtype": "float16"}',
    "tokenizer.json": '{"version":"1.0"}',
    "chat_template.jinja": "{{ messages }}",
    "model.safetensors": "weights",
    "notes.txt": "mine",
  });
  const to = join(await folder({}), "deep", "target");
  await copyModelFiles(from, to, { torch_dtype: "bfloat16" });
  expect((await readdir(to)).sort()).toEqual(["chat_template.jinja", "config.json", "tokenizer.json"]);
  expect(await json(join(to, "config.json"))).toEqual({ model_type: "llama", torch_dtype: "bfloat16" });
  expect(await readFile(join(to, "tokenizer.json"), "utf8")).toBe('{"version":"1.0"}');
});

test("what pictures, sentence encoders and models with code of their own need is copied", async () => {
  const files = {
    "config.json": '{"auto_map": {"AutoModel": "modeling_mine.Mine"}}',
    "modeling_mine.py": "class Mine: ...",
    "preprocessor_config.json": "{}",
    "vocab.txt": "a",
    "1_Pooling/config.json": "{}",
  };
  const from = await folder({});
  await mkdir(join(from, "1_Pooling"));
  for (const [name, text] of Object.entries(files)) await writeFile(join(from, name), text);
  const to = await folder({});
  await copyModelFiles(from, to);
  for (const name of Object.keys(files).slice(1)) {
    expect(await readFile(join(to, name), "utf8")).toBe(await readFile(join(from, name), "utf8"));
  }
  await writeFile(join(from, "config.json"), "{}");
  const plain = await folder({});
  await copyModelFiles(from, plain);
  expect(await readdir(plain)).not.toContain("modeling_mine.py");
});

test("further templates are copied with their folder", async () => {
  const from = await folder({ "config.json": "{}" });
  await mkdir(join(from, "additional_chat_templates"));
  await writeFile(join(from, "additional_chat_templates/tool_use.jinja"), "tools");
  const to = await folder({});
  await copyModelFiles(from, to);
  expect(await readFile(join(to, "additional_chat_templates/tool_use.jinja"), "utf8")).toBe("tools");
});

test("the dtype is replaced under whichever name the config has", async () => {
  for (const [before, after] of [
    ['{"dtype": "float16"}', { dtype: "float32" }],
    ['{"dtype": "float16", "torch_dtype": "float16"}', { dtype: "float32", torch_dtype: "float32" }],
    ["{}", { torch_dtype: "float32" }],
  ] as const) {
    const to = await folder({});
    await copyModelFiles(await folder({ "config.json": before }), to, { torch_dtype: "float32" });
    expect(await json(join(to, "config.json"))).toEqual(after);
  }
});

test("a folder without a config is refused, and nothing is written", async () => {
  const from = await folder({ "tokenizer.json": "{}" });
  const to = await folder({});
  await expect(copyModelFiles(from, to)).rejects.toThrow(`${join(from, "config.json")}: no such file or folder`);
  expect(await readdir(to)).toEqual([]);
});

test("a config that is no object is refused", async () => {
  const from = await folder({ "config.json": "[1]" });
  await expect(copyModelFiles(from, await folder({}))).rejects.toThrow(
    `${join(from, "config.json")}: expected a JSON object`,
  );
});
