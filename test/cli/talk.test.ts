import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { openTalk } from "#src/cli/talk.js";
import type { Turn } from "#src/data/conversation.js";
import type { EngineModel, GenerateOptions } from "#src/engine/engine.js";
import { loadTokenizer } from "#src/tokenizer/load.js";

const MODELS = resolve(import.meta.dirname, "../golden/models");

const GENERATION: GenerateOptions = { maxTokens: 20, stopIds: [2], temperature: 0, topP: 1, topK: 0, seed: "chat/0" };

/** A talk with a model that answers what `generate` says, and the prompts it got. */
async function talkWith(generate: EngineModel["generate"], system?: string) {
  const tokenizer = await loadTokenizer(join(MODELS, "mistral"));
  const asked: string[] = [];
  const prompt = async (turns: readonly Turn[]) => {
    asked.push(turns.map(({ role, content }) => `${role}: ${content}`).join(" / "));
    return { text: "", ids: Int32Array.of(1, 5) };
  };
  return { talk: openTalk({ generate }, { tokenizer, prompt }, GENERATION, system), asked, tokenizer };
}

test("a talk keeps its turns, streams whole characters and drops the leading space", async () => {
  const seeds: string[] = [];
  const { talk, asked, tokenizer } = await talkWith(async (_prompts, options, onToken) => {
    seeds.push(options.seed);
    const ids = (await tokenizer.encode("Good 😊 day")).ids;
    for (const id of ids) onToken?.(0, id);
    return [ids];
  }, "Be kind.");
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

test("a character of several tokens appears with its last one, a broken one as a replacement at the end", async () => {
  const written: string[] = [];
  const { talk, tokenizer } = await talkWith(async (_prompts, _options, onToken) => {
    const { ids } = await tokenizer.encode("a 😊");
    for (const id of ids.slice(0, -1)) onToken?.(0, id);
    expect(written.join("")).toBe("a ");
    onToken?.(0, ids.at(-1)!);
    expect(written.join("")).toBe("a 😊");
    onToken?.(0, ids.at(-2)!);
    return [ids];
  });
  expect((await talk.ask("Hi", (text) => written.push(text))).answer).toBe("a 😊\ufffd");
});

test("an answer that its signal ends is a turn, not finished, and the talk goes on", async () => {
  const controller = new AbortController();
  const { talk, asked, tokenizer } = await talkWith(async (_prompts, { signal }, onToken) => {
    const { ids } = await tokenizer.encode("Good day");
    const heard: number[] = [];
    for (const id of ids) {
      if (signal?.aborted) break;
      onToken?.(0, id);
      heard.push(id);
    }
    return [Int32Array.from(heard)];
  });
  const stop = (): void => controller.abort();
  expect(await talk.ask("Hi", stop, controller.signal)).toMatchObject({ finished: false, answer: "G" });
  expect(await talk.ask("Go on", () => {})).toMatchObject({ finished: true, answer: "Good day" });
  expect(asked[1]).toBe("user: Hi / assistant: G / user: Go on");
});
