import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { chatVerb, openTalk } from "#src/cli/chat.js";
import { runCommandLine } from "#src/cli/program.js";
import type { GenerateOptions } from "#src/engine/engine.js";
import { loadTokenizer } from "#src/tokenizer/load.js";
import { memoryStreams } from "./memory-streams.ts";

const MODELS = resolve(import.meta.dirname, "../golden/models");

const GENERATION: GenerateOptions = { maxTokens: 20, stopIds: [2], temperature: 0, topP: 1, topK: 0, seed: "chat/0" };

async function chat(...arguments_: string[]) {
  const streams = memoryStreams();
  const exitCode = await runCommandLine(["chat", ...arguments_], streams, new AbortController().signal, [chatVerb]);
  return { exitCode, out: streams.stdout.text, error: streams.stderr.text };
}

test("a talk keeps its turns, streams whole characters and drops the leading space", async () => {
  const tokenizer = await loadTokenizer(join(MODELS, "mistral"));
  const asked: string[] = [];
  const seeds: string[] = [];
  const talk = openTalk(
    {
      generate: async (_prompts, options, onToken) => {
        seeds.push(options.seed);
        const ids = (await tokenizer.encode("Good 😊 day")).ids;
        for (const id of ids) onToken?.(0, id);
        return [ids];
      },
    },
    {
      tokenizer,
      prompt: async (turns) => {
        asked.push(turns.map(({ role, content }) => `${role}: ${content}`).join(" / "));
        return { text: "", ids: Int32Array.of(1, 5) };
      },
    },
    GENERATION,
    "Be kind.",
  );
  const written: string[] = [];
  const answer = await talk.ask("Hi", (text) => written.push(text));
  expect(answer).toMatchObject({ question: "Hi", answer: "Good 😊 day", prompt_tokens: 2, finished: true });
  expect(written.join("")).toBe("Good 😊 day");
  expect(written).toContain("😊");
  await talk.ask("And?", () => {});
  expect(asked).toEqual([
    "system: Be kind. / user: Hi",
    "system: Be kind. / user: Hi / assistant: Good 😊 day / user: And?",
  ]);
  expect(seeds).toEqual(["chat/0/2", "chat/0/4"]);
});

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

test("a folder without a tokenizer and a wrong option are refused", async () => {
  expect(await chat("/nowhere", "--prompt", "x")).toMatchObject({
    exitCode: 2,
    error: "/nowhere/tokenizer.json: no such file or folder\n",
  });
  expect((await chat(join(MODELS, "mistral"), "--top-p", "2")).error).toMatch(/--top-p.*at most 1/);
});
