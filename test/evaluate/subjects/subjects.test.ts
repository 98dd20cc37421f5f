import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { conversationId, type Turn } from "#src/data/conversation.js";
import type { StageContext } from "#src/engine/context.js";
import type { Engine } from "#src/engine/engine.js";
import { createOnnxEngine } from "#src/engine/onnx/index.js";
import { evaluateHeldOut } from "#src/evaluate/benchmarks/held-out.js";
import type { JudgeOptions } from "#src/evaluate/judges/judge.js";
import { openFolder } from "#src/evaluate/subjects/folder.js";
import { choiceRequest, readChoice } from "#src/evaluate/subjects/judge-choice.js";
import { leastSurprising } from "#src/evaluate/subjects/lowest-perplexity.js";
import { openSubject } from "#src/evaluate/subjects/open.js";
import type { Answer, AnswerSettings, Dialogue, SubjectReference } from "#src/evaluate/subjects/subject.js";
import type { ReporterEvent } from "#src/reporter.js";
import { type Behaviour, type ServedRequest, startServer, type TestServer } from "../../engine/endpoint/server.ts";

const MODELS = resolve(import.meta.dirname, "../../golden/models");
const GREEDY: AnswerSettings = { temperature: 0, maxTokens: 8, seed: "test" };
const WARM: AnswerSettings = { ...GREEDY, temperature: 1 };

let engine: Engine;
let events: ReporterEvent[];
let context: StageContext;
let folder: string;
const servers: TestServer[] = [];
beforeAll(async () => {
  engine = await createOnnxEngine();
});
afterAll(() => engine.dispose());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-subjects-"));
  events = [];
  context = { engine, reporter: { report: (event) => events.push(event) } };
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await rm(folder, { recursive: true, force: true });
});

const local = (name: string): SubjectReference => ({ kind: "folder", name, folder: join(MODELS, name) });

function remote({ url }: { url: string }, name: string = "remote"): SubjectReference {
  return { kind: "endpoint", name, endpoint: { url, model: name, concurrency: 4, timeoutSeconds: 5, attempts: 1 } };
}

function judgeAt({ url }: { url: string }): JudgeOptions {
  return { endpoint: { url, model: "critic", concurrency: 4, timeoutSeconds: 5, attempts: 1 } };
}

async function serve(answer: (request: ServedRequest) => Behaviour): Promise<TestServer> {
  const server = await startServer(answer);
  servers.push(server);
  return server;
}

function dialogue(id: string, content: string = `What is ${id}?`): Dialogue {
  return { id, turns: [{ role: "user", content }] };
}

async function answersOf(
  reference: SubjectReference,
  dialogues: readonly Dialogue[],
  settings: AnswerSettings = GREEDY,
  options: { judge?: JudgeOptions; keep?: string } = {},
): Promise<Answer[]> {
  const subject = await openSubject(reference, context, options.judge ?? null, options.keep ?? null);
  try {
    return await subject.answer(dialogues, settings);
  } finally {
    await subject.dispose();
  }
}

const warnings = (): string[] => events.flatMap((event) => (event.type === "warning" ? [event.message] : []));

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
    events = [];
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

describe("an endpoint", () => {
  test("is asked dialogues as they are, and answers in their order", async () => {
    const server = await serve(({ messages, index }) => ({
      text: ` on ${messages.at(-1)!.content}\n`,
      finish: index === 0 ? "length" : "stop",
      delayMs: index === 0 ? 50 : 0,
    }));
    const turns: Turn[] = [
      { role: "user", content: "one" },
      { role: "assistant", content: "two" },
      { role: "user", content: "three" },
    ];
    const answers = await answersOf(remote(server), [{ id: "x", turns }, dialogue("b", "four")]);
    expect(answers).toEqual([
      { text: "on three", finish: "length" },
      { text: "on four", finish: "stop" },
    ]);
    expect(server.requests[0]).toMatchObject({ messages: turns, temperature: 0, max_tokens: 8, model: "remote" });
    expect(server.requests[0]!.seed).toBeUndefined();
    await answersOf(remote(server), [dialogue("b"), dialogue("c")], WARM);
    const seeds = server.requests.slice(2).map(({ seed }) => seed);
    expect(new Set(seeds).size).toBe(2);
    for (const seed of seeds) expect(seed).toBeLessThan(2 ** 31);
  });

  test("that answers nothing gives empty texts", async () => {
    const server = await serve(() => ({ text: null }));
    expect(await answersOf(remote(server), [dialogue("a")])).toEqual([{ text: "", finish: "stop" }]);
  });

  test("that cannot answer one dialogue ends with a sentence, the other answers kept", async () => {
    let filtered = true;
    const server = await serve(({ messages }) =>
      filtered && messages[0]!.content.includes("3") ? { status: 400, body: "Filtered" } : { text: "fine" },
    );
    const dialogues = Array.from({ length: 10 }, (_, index) => dialogue(`${index}`));
    const keep = join(folder, "answers.jsonl");
    await expect(answersOf(remote(server), dialogues, GREEDY, { keep })).rejects.toMatchObject({
      exitCode: 1,
      message:
        `answers remote: 1 of 10 dialogues got no answer (${server.url}/chat/completions: the server refuses the ` +
        `request (HTTP 400: Filtered)); 9 answers are kept in ${keep}, and the same command goes on from there`,
    });
    filtered = false;
    expect(await answersOf(remote(server), dialogues, GREEDY, { keep })).toHaveLength(10);
    expect(server.count).toBe(11);
  });

  test("that hangs is given up", async () => {
    const server = await serve(() => ({ hang: true }));
    const reference = remote(server) as Extract<SubjectReference, { kind: "endpoint" }>;
    const hasty = { ...reference, endpoint: { ...reference.endpoint, timeoutSeconds: 0.05 } };
    const dialogues = Array.from({ length: 100 }, (_, index) => dialogue(`${index}`));
    await expect(answersOf(hasty, dialogues)).rejects.toMatchObject({
      exitCode: 1,
      message: expect.stringContaining("answers remote: 8 requests in a row got no reply ("),
    });
    expect(server.count).toBeLessThan(30);
  });
});

describe("kept answers", () => {
  test("are not asked for again, and depend on model, dialogue and settings", async () => {
    const server = await serve(({ messages, index }) => ({ text: `${index}: ${messages[0]!.content}` }));
    const keep = join(folder, "answers.jsonl");
    const dialogues = [dialogue("a"), dialogue("b")];
    const first = await answersOf(remote(server), dialogues, GREEDY, { keep });
    expect(await answersOf(remote(server), [...dialogues].reverse(), GREEDY, { keep })).toEqual([...first].reverse());
    expect(server.count).toBe(2);
    await answersOf(remote(server), dialogues, { ...GREEDY, maxTokens: 9 }, { keep });
    await answersOf(remote(server), dialogues, { ...GREEDY, seed: "other" }, { keep });
    await answersOf(remote(server, "another"), dialogues, GREEDY, { keep });
    await answersOf(remote(server), [dialogue("a", "Something else?")], GREEDY, { keep });
    expect(server.count).toBe(9);
    const lines = (await readFile(keep, "utf8")).trimEnd().split("\n");
    expect(lines).toHaveLength(9);
    expect(Object.keys(JSON.parse(lines[0]!))).toEqual(["key", "id", "model", "text", "finish"]);
  });

  test("of a folder are those that it gives", async () => {
    const keep = join(folder, "answers.jsonl");
    const dialogues = [dialogue("a"), dialogue("b")];
    const plain = await answersOf(local("mistral"), dialogues);
    expect(await answersOf(local("mistral"), dialogues, GREEDY, { keep })).toEqual(plain);
    // From the file, which would show another text.
    await writeFile(keep, (await readFile(keep, "utf8")).replace(/"finish":"\w+"/g, '"finish":"stop"'));
    const kept = await answersOf(local("mistral"), dialogues, GREEDY, { keep });
    expect(kept.map(({ finish }) => finish)).toEqual(["stop", "stop"]);
  });

  test("that are no answers are refused by their line", async () => {
    const keep = join(folder, "answers.jsonl");
    await writeFile(keep, '{"hello": 1}\n');
    await expect(answersOf(local("mistral"), [dialogue("a")], GREEDY, { keep })).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(`${keep}:1: expected an answer, found key wrong`),
    });
  });
});

describe("an ensemble", () => {
  const members = [local("mistral"), local("qwen2"), local("llama")];

  test("by lowest perplexity gives the answer whose mean nats per byte over all members is lowest", async () => {
    const dialogues = ["a", "b", "c", "d"].map((id) => dialogue(id));
    const reference: SubjectReference = { kind: "ensemble", name: "all", choice: "lowest-perplexity", members };
    const keep = join(folder, "answers.jsonl");
    const chosen = await answersOf(reference, dialogues, WARM, { keep });
    const given: Answer[][] = [];
    for (const member of members) given.push(await answersOf(member, dialogues, WARM));
    const readings: (number | null)[][] = [];
    const asked = given.flatMap((answers) => answers.map((answer, index) => ({ dialogue: dialogues[index]!, answer })));
    for (const member of members) {
      const reader = await openFolder(member as Extract<SubjectReference, { kind: "folder" }>, context);
      readings.push(await reader.natsPerByte(asked));
      await reader.dispose();
    }
    for (const index of dialogues.keys()) {
      const means = given.map((answers, member) => ({
        answer: answers[index]!,
        sum: readings.reduce((sum, nats) => sum + nats[member * dialogues.length + index]!, 0),
      }));
      expect(chosen[index]).toEqual(means.sort((a, b) => a.sum - b.sum)[0]!.answer);
    }
    for (const [index, answers] of given.entries()) {
      const kept = await readFile(join(folder, `answers-member-${index + 1}.jsonl`), "utf8");
      expect(
        kept
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line).text)
          .sort(),
      ).toEqual(answers.map(({ text }) => text).sort());
    }
  });

  test("by a judge's choice gives the answer that the judge names, whatever its place", async () => {
    const [one, two] = [await serve(() => ({ text: "a poor answer" })), await serve(() => ({ text: "a good answer" }))];
    const critic = await serve(({ messages }) => {
      const place = /<answer (\d)>\na good answer/.exec(messages[0]!.content)![1]!;
      return { text: `Answer ${place}.` };
    });
    const reference: SubjectReference = {
      kind: "ensemble",
      name: "both",
      choice: "judge",
      members: [remote(one, "one"), remote(two, "two")],
    };
    const dialogues = Array.from({ length: 20 }, (_, index) => dialogue(`${index}`));
    const options = { judge: judgeAt(critic), keep: join(folder, "answers.jsonl") };
    const answers = await answersOf(reference, dialogues, GREEDY, options);
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(["a good answer"]));
    const places = critic.requests.map(({ messages }) => /<answer (\d)>\na good/.exec(messages[0]!.content)![1]);
    expect(new Set(places)).toEqual(new Set(["1", "2"]));
    expect(critic.requests[0]).toMatchObject({ temperature: 0 });
    await rm(options.keep);
    expect(await answersOf(reference, dialogues, GREEDY, options)).toEqual(answers);
    expect([one.count, two.count, critic.count]).toEqual([20, 20, 20]);
  });

  test("does not ask the judge where all say the same, or only one says anything", async () => {
    const same = await serve(() => ({ text: "yes" }));
    const mute = await serve(() => ({ text: "" }));
    const critic = await serve(() => ({ text: "1" }));
    const reference: SubjectReference = {
      kind: "ensemble",
      name: "e",
      choice: "judge",
      members: [remote(mute, "mute"), remote(same, "one"), remote(same, "two")],
    };
    const options = { judge: judgeAt(critic) };
    expect(await answersOf(reference, [dialogue("a")], GREEDY, options)).toEqual([{ text: "yes", finish: "stop" }]);
    const silent: SubjectReference = { ...reference, members: [remote(mute, "mute"), remote(mute, "dumb")] };
    expect(await answersOf(silent, [dialogue("a")], GREEDY, options)).toEqual([{ text: "", finish: "stop" }]);
    expect(critic.count).toBe(0);
  });

  test("whose judge names no answer gives the first member's, and says how often", async () => {
    const [one, two] = [await serve(() => ({ text: "first" })), await serve(() => ({ text: "second" }))];
    const critic = await serve(() => ({ text: "Both 1 and 2 are good" }));
    const reference: SubjectReference = {
      kind: "ensemble",
      name: "e",
      choice: "judge",
      members: [remote(one, "one"), remote(two, "two")],
    };
    const dialogues = [dialogue("a"), dialogue("b")];
    const answers = await answersOf(reference, dialogues, GREEDY, { judge: judgeAt(critic) });
    expect(answers.map(({ text }) => text)).toEqual(["first", "first"]);
    expect(warnings()).toEqual([
      "2 of 2 choices name no answer and are not guessed at: there the first member's answer stands",
    ]);
  });

  test("is refused where it cannot choose", async () => {
    const endpoint = remote({ url: "http://127.0.0.1:1/v1" });
    const open = (reference: SubjectReference) => openSubject(reference, context);
    const ensemble = (choice: "judge" | "lowest-perplexity", of: SubjectReference[]): SubjectReference => ({
      kind: "ensemble",
      name: "e",
      choice,
      members: of,
    });
    await expect(open(ensemble("lowest-perplexity", [local("mistral"), endpoint]))).rejects.toMatchObject({
      exitCode: 2,
      message:
        "e: an ensemble by lowest perplexity has every member read the others' answers, and remote gives answers only; " +
        "take model folders, or the judge's choice",
    });
    await expect(open(ensemble("judge", [endpoint, endpoint]))).rejects.toThrow(
      "e: an ensemble by a judge's choice needs a judge, and none was given",
    );
    await expect(open(ensemble("judge", [endpoint]))).rejects.toThrow(
      "e: an ensemble chooses among the answers of at least two models, found 1",
    );
  });
});

test("the least surprising answer has the lowest mean over the readers that read all answers", () => {
  expect(
    leastSurprising([
      [1, 2],
      [3, 1.5],
    ]),
  ).toBe(1);
  expect(
    leastSurprising([
      [1, 2],
      [2, 1],
    ]),
  ).toBe(0);
  // The second reader could not read the first answer, so it has no say.
  expect(
    leastSurprising([
      [1, 2],
      [null, 0],
    ]),
  ).toBe(0);
  expect(
    leastSurprising([
      [null, 2],
      [null, 0],
    ]),
  ).toBe(0);
});

test("a choice is one number in range, in any words, else null", () => {
  expect(readChoice("2", 3)).toBe(2);
  expect(readChoice(" The best is answer 3.\n", 3)).toBe(3);
  for (const reply of ["4", "0", "", "none", "1 or 2", "-"]) expect(readChoice(reply, 3)).toBeNull();
});

test("the judge's question has the answers in the given order", () => {
  const answers: Answer[] = ["red", "green"].map((text) => ({ text, finish: "stop" }));
  const { messages } = choiceRequest({ dialogue: dialogue("a", "Which colour?"), answers }, [1, 0]);
  expect(messages[0]!.content).toContain("<user>\nWhich colour?\n</user>");
  expect(messages[0]!.content).toContain("<answer 1>\ngreen\n</answer 1>\n<answer 2>\nred\n</answer 2>");
});
