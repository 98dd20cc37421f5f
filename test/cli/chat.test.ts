import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { chatVerb } from "#src/cli/chat.js";
import { runCommandLine } from "#src/cli/program.js";
import { memoryStreams } from "./memory-streams.ts";

const MODELS = resolve(import.meta.dirname, "../golden/models");

async function chat(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["chat", ...arguments_], streams, new AbortController().signal, [chatVerb]);
  return { exitCode, out: streams.stdout.text, error: streams.stderr.text };
}

test("one question is answered in one document, the same every time", async () => {
  const arguments_ = [
    join(MODELS, "mistral"),
    "--prompt",
    "Is water wet?",
    "--max-tokens",
    "6",
    "--seed",
    "3",
    "--json",
  ];
  const first = await chat(...arguments_);
  expect(first.exitCode).toBe(0);
  const document = JSON.parse(first.out);
  expect(Object.keys(document)).toEqual(["model", "question", "answer", "prompt_tokens", "answer_tokens", "finished"]);
  // The rendering with the generation prompt is 45 tokens (golden rows: the first row is at 45).
  expect(document.prompt_tokens).toBe(45);
  expect(document.answer_tokens).toBeLessThanOrEqual(6);
  expect((await chat(...arguments_)).out).toBe(first.out);
});

test("a top-k of one is greedy, whatever the temperature and the seed", async () => {
  const ask = async (...options: string[]) => {
    const { out } = await chat(join(MODELS, "mistral"), "--prompt", "Hello", "--max-tokens", "6", "--json", ...options);
    return JSON.parse(out).answer;
  };
  const greedy = await ask("--temperature", "0");
  expect(await ask("--temperature", "5", "--top-k", "1", "--seed", "7")).toBe(greedy);
  expect(await ask("--temperature", "5", "--seed", "7")).not.toBe(greedy);
});

test("an interrupted answer ends the command with 130", async () => {
  const controller = new AbortController();
  controller.abort();
  const arguments_ = ["chat", join(MODELS, "mistral"), "--prompt", "Hello", "--json"];
  expect(await runCommandLine(arguments_, memoryStreams(), controller.signal, [chatVerb])).toBe(130);
});

test("a folder without a tokenizer and a wrong option are refused", async () => {
  expect(await chat("/nowhere", "--prompt", "x")).toMatchObject({
    exitCode: 2,
    error: "/nowhere: no such file or folder\n",
  });
  expect((await chat(join(MODELS, "mistral"), "--top-p", "2")).error).toMatch(/--top-p.*at most 1/);
  expect((await chat(join(MODELS, "mistral"), "--top-k", "-1")).error).toMatch(/--top-k.*at least 0/);
});
