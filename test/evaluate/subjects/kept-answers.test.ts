import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { answersOf, dialogue, folder, GREEDY, local, remote, serve, useSubjects } from "./fixtures.ts";

useSubjects();

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
