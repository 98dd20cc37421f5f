import { PassThrough } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { oneQuestion, type Questions, questionsFrom } from "#src/cli/questions.js";

const CONTROL_C = "\x03";

/** Asks all questions; the answer to "wait" takes until it is interrupted. */
async function talk(questions: Questions, heard: string[]): Promise<string[]> {
  for await (const question of questions.lines) {
    await questions.answering(async (signal) => {
      heard.push(question);
      if (question !== "wait") return;
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
      heard.push("interrupted");
    });
  }
  return heard;
}

/** Until the lines written so far have been read. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await setImmediate();
}

test("every line of an input that is no terminal is a question, the last one without a line feed too", async () => {
  const input = new PassThrough();
  const questions = questionsFrom(input, null, new AbortController().signal);
  input.end("one\ntwo");
  expect(await talk(questions, [])).toEqual(["one", "two"]);
  expect(questions.interrupted()).toBe(false);
});

test("on a terminal Ctrl-C ends the answer under way, and between answers the talk", async () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const questions = questionsFrom(input, output, new AbortController().signal);
  const heard: string[] = [];
  const talking = talk(questions, heard);
  input.write("one\nwait\n");
  await settled();
  expect(heard).toEqual(["one", "wait"]);
  input.write(CONTROL_C);
  await settled();
  expect(heard).toEqual(["one", "wait", "interrupted"]);
  input.write("two\n");
  await settled();
  expect(questions.interrupted()).toBe(false);
  input.write(CONTROL_C);
  expect(await talking).toEqual(["one", "wait", "interrupted", "two"]);
  expect(questions.interrupted()).toBe(true);
  expect(String(output.read())).toContain("> ");
});

test("the process's signal ends the answer under way and the talk", async () => {
  const input = new PassThrough();
  const controller = new AbortController();
  const questions = questionsFrom(input, null, controller.signal);
  const heard: string[] = [];
  const talking = talk(questions, heard);
  input.write("wait\ntwo\n");
  await settled();
  controller.abort();
  await talking;
  expect(heard.slice(0, 2)).toEqual(["wait", "interrupted"]);
  expect(questions.interrupted()).toBe(true);
});

test("the question of the command line is asked once, under the process's signal", async () => {
  const controller = new AbortController();
  const questions = oneQuestion("wait", controller.signal);
  const heard: string[] = [];
  const talking = talk(questions, heard);
  await settled();
  expect(questions.interrupted()).toBe(false);
  controller.abort();
  expect(await talking).toEqual(["wait", "interrupted"]);
  expect(questions.interrupted()).toBe(true);
});
