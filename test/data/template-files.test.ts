import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readChatTemplate } from "#src/data/template-files.js";

async function folderWith(files: Readonly<Record<string, unknown>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-template-"));
  for (const [name, value] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
  }
  return folder;
}

const sourceIn = async (files: Readonly<Record<string, unknown>>, name?: string): Promise<string> =>
  (await readChatTemplate(await folderWith(files), name)).source;

const tokensIn = async (files: Readonly<Record<string, unknown>>) =>
  (await readChatTemplate(await folderWith({ "chat_template.jinja": "", ...files }))).specialTokens;

const CONFIG = { "tokenizer_config.json": { chat_template: "config" } };
const JINJA = { "chat_template.jinja": "jinja" };
const ADDITIONAL = { "additional_chat_templates/tools.jinja": "additional" };
const PROCESSOR = { "chat_template.json": { chat_template: "processor" } };
const NAMED = [
  { name: "tool_use", template: "tools" },
  { name: "default", template: "plain" },
];

test.each([
  ["a file of its own before all others", { ...CONFIG, ...PROCESSOR, ...JINJA }, "jinja"],
  ["the processor's file before the tokenizer's", { ...CONFIG, ...PROCESSOR }, "processor"],
  ["the processor's settings", { "processor_config.json": { chat_template: "settings" }, ...CONFIG }, "settings"],
  ["tokenizer_config.json where there is nothing else", CONFIG, "config"],
  ["what is null, as if it were not there", { ...CONFIG, "chat_template.json": { chat_template: null } }, "config"],
  ["of a list the one named default", { "tokenizer_config.json": { chat_template: NAMED } }, "plain"],
  ["of a mapping likewise", { "tokenizer_config.json": { chat_template: { x: "1", default: "2" } } }, "2"],
  ["chat_template.jinja as the default beside additional ones", { ...ADDITIONAL, ...JINJA }, "jinja"],
  ["an additional one named default", { ...JINJA, "additional_chat_templates/default.jinja": "other" }, "other"],
  ["a byte order mark as a part of the text", { "chat_template.jinja": "\ufeffjinja" }, "\ufeffjinja"],
])("found is %s", async (_, files, expected) => {
  expect(await sourceIn(files)).toBe(expected);
});

test("a template is chosen by its name, wherever names stand", async () => {
  expect(await sourceIn({ "tokenizer_config.json": { chat_template: NAMED } }, "tool_use")).toBe("tools");
  expect(await sourceIn({ "chat_template.json": { chat_template: { rag: "r" } } }, "rag")).toBe("r");
  expect(await sourceIn({ ...ADDITIONAL, ...JINJA }, "tools")).toBe("additional");
  expect(await sourceIn(CONFIG, "default")).toBe("config");
});

test("a name that is not there is refused with those that are", async () => {
  const folder = await folderWith({ "tokenizer_config.json": { chat_template: NAMED } });
  await expect(readChatTemplate(folder, "rag")).rejects.toThrow(
    `${folder}: expected a chat template named rag, found tool_use, default; choose one by template_name`,
  );
  // As in transformers, files of their own replace the templates of the config, also where none is the default.
  await expect(sourceIn({ ...ADDITIONAL, ...CONFIG })).rejects.toThrow(/named default, found tools;/);
});

test("a folder without a template is refused", async () => {
  const folder = await folderWith({ "tokenizer_config.json": { chat_template: null } });
  await expect(readChatTemplate(folder)).rejects.toThrow(`${folder}: no chat template: expected chat_template in`);
});

test("special tokens are those of tokenizer_config.json, texts or objects, the model's own among them", async () => {
  const config = {
    bos_token: { content: "<b>" },
    eos_token: "<e>",
    pad_token: null,
    image_token: "<i>",
    extra_special_tokens: { audio_token: "<a>", messages: "<m>" },
    additional_special_tokens: ["<x>", { content: "<y>" }],
    tokenizer_class: "any",
  };
  expect(await tokensIn({ "tokenizer_config.json": config })).toEqual({
    bos_token: "<b>",
    eos_token: "<e>",
    image_token: "<i>",
    audio_token: "<a>",
    additional_special_tokens: ["<x>", "<y>"],
  });
});

test("special_tokens_map.json comes first in folders that list no added tokens, and is not read in others", async () => {
  const map = { "special_tokens_map.json": { bos_token: { content: "<o>" }, unk_token: "<u>" } };
  const config = { bos_token: "<b>", eos_token: "<e>" };
  expect(await tokensIn({ "tokenizer_config.json": config, ...map })).toEqual({
    bos_token: "<o>",
    eos_token: "<e>",
    unk_token: "<u>",
  });
  expect(await tokensIn({ "tokenizer_config.json": { ...config, added_tokens_decoder: {} }, ...map })).toEqual(config);
});
