import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openFolder } from "#src/evaluate/subjects/folder.js";
import { openSubject } from "#src/evaluate/subjects/open.js";
import type { Answer, SubjectReference } from "#src/evaluate/subjects/subject.js";
import {
  answersOf,
  context,
  dialogue,
  folder,
  GREEDY,
  judgeAt,
  local,
  remote,
  serve,
  useSubjects,
  WARM,
  warnings,
} from "./fixtures.ts";

useSubjects();

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
