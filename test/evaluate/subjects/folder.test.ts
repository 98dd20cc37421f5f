import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { conversationId, type Turn } from "#src/data/conversation.js";
import { evaluateHeldOut } from "#src/evaluate/benchmarks/held-out.js";
import { openFolder } from "#src/evaluate/subjects/folder.js";
import { openSubject } from "#src/evaluate/subjects/open.js";
import type { Answer, Dialogue, SubjectReference } from "#src/evaluate/subjects/subject.js";
import {
  answersOf,
  context,
  dialogue,
  engine,
  events,
  folder,
  GREEDY,
  local,
  MODELS,
  useSubjects,
  WARM,
  warnings,
} from "./fixtures.ts";

useSubjects();

describe("a folder", () => {
  test("gives one answer a dialogue in their order, each the same as when it is asked alone", async () => {
    const dialogues = ["a", "the longest of them all by far", "b c"].map((id) => dialogue(id));
    const together = await answersOf(local("mistral"), dialogues);
    expect(together).toHaveLength(3);
    for (const { text, finish } of together) expect(text !== "" || finish === "stop").toBe(true);
    for (const [index, one] of dialogues.entries()) {
      expect(await answersOf(local("mistral"), [one])).toEqual([together[index]]);
    }
  });

  test("samples from the dialogue's id and the seed, whatever else is asked with it", async () => {
    const [a, b] = [dialogue("a", "Hello"), dialogue("b", "Hello")];
    const [first, second] = await answersOf(local("mistral"), [a, b], WARM);
    expect(first).not.toEqual(second);
    expect(await answersOf(local("mistral"), [b, a], WARM)).toEqual([second, first]);
    expect(await answersOf(local("mistral"), [a], { ...WARM, seed: "other" })).not.toEqual([first]);
  });

  test("does not answer what its template or its context does not take, and says how many", async () => {
    const system: Dialogue = {
      id: "with a system turn",
      turns: [
        { role: "system", content: "Be kind." },
        { role: "user", content: "Hi" },
      ],
    };
    const long = dialogue("long", "word ".repeat(5000));
    const answers = await answersOf(local("gemma2"), [system, dialogue("a"), long]);
    expect(answers.map(({ finish }) => finish)).toEqual(["refused", "length", "refused"]);
    expect(answers[0]!.text).toBe("");
    expect(warnings()).toEqual([
      "2 of 3 dialogues are not answered: the template refuses with a system turn (System role not supported)",
    ]);
    events.length = 0;
    await answersOf(local("gemma2"), [long]);
    expect(warnings()[0]).toMatch(/^1 of 1 dialogues .* long has \d+ tokens, and the model's context ends at 4096$/);
  });

  test("is known by its weights, its tokenizer and its template, not by its place", async () => {
    const identityOf = async (path: string): Promise<string> => {
      const subject = await openSubject({ kind: "folder", name: "x", folder: path }, context);
      await subject.dispose();
      return subject.identity;
    };
    const original = await identityOf(join(MODELS, "mistral"));
    const copy = join(folder, "copy");
    await cp(join(MODELS, "mistral"), copy, { recursive: true });
    expect(await identityOf(copy)).toBe(original);
    const config = JSON.parse(await readFile(join(copy, "tokenizer_config.json"), "utf8"));
    await writeFile(
      join(copy, "tokenizer_config.json"),
      JSON.stringify({ ...config, chat_template: "{{ bos_token }}" }),
    );
    expect(await identityOf(copy)).not.toBe(original);
    await cp(join(MODELS, "mistral/tokenizer_config.json"), join(copy, "tokenizer_config.json"));
    const weights = await readFile(join(copy, "model.safetensors"));
    weights[weights.length - 1]! ^= 1;
    await writeFile(join(copy, "model.safetensors"), weights);
    expect(await identityOf(copy)).not.toBe(original);
  });

  test("reads an answer as held-out does", async () => {
    const turns: Turn[] = [
      { role: "user", content: "Is water wet?" },
      { role: "assistant", content: "Yes, it is." },
    ];
    const id = conversationId(turns);
    const options = { model: join(MODELS, "qwen2"), conversations: [{ id, turns }], maxLength: 100 };
    const [read] = (await evaluateHeldOut(options, context)).per_conversation;
    const reader = await openFolder(local("qwen2") as Extract<SubjectReference, { kind: "folder" }>, context);
    const asked = { id, turns: turns.slice(0, 1) };
    const nats = await reader.natsPerByte([
      { dialogue: asked, answer: { text: "Yes, it is.", finish: "stop" } },
      { dialogue: asked, answer: { text: "", finish: "stop" } },
      { dialogue: asked, answer: { text: "word ".repeat(5000), finish: "length" } },
    ]);
    await reader.dispose();
    expect(nats[0]).toBeCloseTo(read!.nats / read!.bytes, 6);
    expect(nats.slice(1)).toEqual([null, null]);
  });

  test("an interruption ends its answers at once", async () => {
    // Aborted, an engine gives the beginnings of answers: they must not pass for answers.
    const controller = new AbortController();
    const kept: Answer[] = [];
    const subject = await openSubject(local("mistral"), {
      ...context,
      engine: {
        ...engine,
        open: async (path) => {
          const model = await engine.open(path);
          return {
            ...model,
            generate: async (prompts, { signal }) => {
              controller.abort();
              expect(signal?.aborted).toBe(true);
              return prompts.map(() => Int32Array.of(5));
            },
          };
        },
      },
    });
    const answering = subject.answer([dialogue("a")], GREEDY, controller.signal, (_, answer) => void kept.push(answer));
    await expect(answering).rejects.toMatchObject({ exitCode: 130 });
    expect(kept).toEqual([]);
    await subject.dispose();
  });

  test("without weights or a template it is refused by name", async () => {
    await expect(openSubject({ kind: "folder", name: "x", folder: "/nowhere" }, context)).rejects.toMatchObject({
      exitCode: 2,
      message: "/nowhere/config.json: no such file or folder",
    });
  });
});
