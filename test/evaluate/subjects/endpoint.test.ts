import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Turn } from "#src/data/conversation.js";
import type { SubjectReference } from "#src/evaluate/subjects/subject.js";
import { answersOf, dialogue, folder, GREEDY, remote, serve, useSubjects, WARM } from "./fixtures.ts";

useSubjects();

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
