/** The judge's prompts: Python's formatting, and the prompts of a published run rebuilt to the byte. */
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type AnswerTurns, readReferences } from "#src/evaluate/benchmarks/mt-bench/answers.js";
import { gradingsOf } from "#src/evaluate/benchmarks/mt-bench/grade.js";
import { fillTemplate, parseTemplate, readJudgePrompts } from "#src/evaluate/benchmarks/mt-bench/prompts.js";
import { readQuestions } from "#src/evaluate/benchmarks/mt-bench/questions.js";
import { tellMissing } from "../../../shared.ts";
import { filesIn, PROMPTS } from "./files.ts";

const data = resolve(import.meta.dirname, "../../../../../shared/data");
const present = existsSync(data);

describe("a template", () => {
  const format = (text: string, values: Record<string, string>): string =>
    fillTemplate(parseTemplate(text, Object.keys(values), "t"), values);

  test("is filled as Python's str.format fills it", () => {
    expect(format("{a}-{b}-{a}", { a: "1", b: "2" })).toBe("1-2-1");
    expect(format("{{a}} {{{a}}} }}{{", { a: "1" })).toBe("{a} {1} }{");
    expect(format("no field", {})).toBe("no field");
    expect(format("", {})).toBe("");
  });

  test("takes what fills it as it is: braces, fields, dollar signs", () => {
    const hard = "{b} {{a}} } { $& $1 \\n {0}";
    expect(format("<{a}|{b}>", { a: hard, b: hard })).toBe(`<${hard}|${hard}>`);
  });

  test("is refused where Python would raise, or would do more than put a text in", () => {
    const refused = (text: string): string => {
      try {
        return format(text, { a: "1" });
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refused("x } y")).toBe('t: a single "}" at character 2; expected "}}" for a brace');
    expect(refused("x {a")).toBe('t: a "{" at character 2 is never closed; expected "{{" for a brace');
    expect(refused("{b}")).toBe("t: the field {b} has no value; expected {a}");
    for (const field of ["", "0", "a.b", "a!r", "a:>8", " a"]) {
      expect(refused(`{${field}}`)).toBe(`t: the field {${field}} has no value; expected {a}`);
    }
  });
});

describe("the file of prompts", () => {
  const read = async (records: readonly unknown[]): Promise<unknown> => {
    const { prompts, folder } = await filesIn({ prompts: records });
    return readJudgePrompts(prompts).finally(() => rm(folder, { recursive: true, force: true }));
  };

  test("must be given, and hold what grading needs", async () => {
    await expect(readJudgePrompts(undefined)).rejects.toThrow(
      "mt-bench: needs the judge's prompts, which are not part of this program; give --prompts FILE: the judge's prompts (FastChat's fastchat/llm_judge/data/judge_prompts.jsonl)",
    );
    await expect(read(PROMPTS.slice(0, 2))).rejects.toThrow(
      /prompts\.jsonl: has no prompt single-v1-multi-turn, single-math-v1-multi-turn; expected the judge's prompts/,
    );
    await expect(read([...PROMPTS, PROMPTS[0]])).rejects.toThrow(
      /prompts\.jsonl:6: prompt single-v1 comes a second time; expected each once$/,
    );
  });

  test("must ask for a rating, with fields that grading can fill", async () => {
    await expect(read([{ ...PROMPTS[0], output_format: "[[A]]" }])).rejects.toThrow(
      /prompts\.jsonl:1: prompt single-v1 asks for "\[\[A\]\]"; expected \[\[rating\]\]$/,
    );
    await expect(read([{ ...PROMPTS[0], prompt_template: "{answer_a}" }])).rejects.toThrow(
      /prompts\.jsonl:1: prompt single-v1: the field \{answer_a\} has no value; expected \{question\}, \{answer\}$/,
    );
  });
});

describe.runIf(present)("the published run of FastChat", () => {
  const file = (name: string): string => resolve(data, "chat/mt_bench", name);

  test("has 160 prompts that are ours to the byte", async () => {
    const questions = await readQuestions(file("question.jsonl"));
    const prompts = await readJudgePrompts(file("judge_prompts.jsonl"));
    const references = await readReferences(file("reference_answer/gpt-4.jsonl"), questions);
    const text = await readFile(resolve(data, "mt_bench_judgments/gpt-4_single.jsonl"), "utf8");
    const published = new Map<string, { judge: string[]; user_prompt: string }>();
    for (const line of text.trimEnd().split("\n")) {
      const record = JSON.parse(line);
      published.set(`${record.question_id}/${record.turn}`, record);
    }
    // The answers stand in the prompts of the second turn.
    const answers = new Map<number, AnswerTurns>();
    for (const { id, turns } of questions) {
      const { user_prompt: shown } = published.get(`${id}/2`)!;
      const conversation = shown.slice(shown.lastIndexOf("<|The Start of Assistant A's Conversation with User|>"));
      const second = `\n\n### User:\n${turns[1]}\n\n### Assistant A:\n`;
      const first = `### User:\n${turns[0]}\n\n### Assistant A:\n`;
      const at = conversation.indexOf(second);
      const end = conversation.lastIndexOf("\n\n<|The End of Assistant A's Conversation with User|>");
      answers.set(id, [
        conversation.slice(conversation.indexOf(first) + first.length, at),
        conversation.slice(at + second.length, end),
      ]);
    }
    const gradings = gradingsOf(questions, answers, prompts, references);
    expect(gradings).toHaveLength(160);
    for (const { id, prompt, userPrompt, request } of gradings) {
      const { judge, user_prompt } = published.get(id)!;
      expect(judge).toEqual(["gpt-4", prompt]);
      expect(userPrompt === user_prompt, `question and turn ${id}`).toBe(true);
      expect(request).toMatchObject({ temperature: 0, maxTokens: 2048, topLogprobs: 0 });
      expect(request.messages.map(({ role }) => role)).toEqual(["system", "user"]);
    }
  });
});

tellMissing(present, "the published prompts were not compared");
