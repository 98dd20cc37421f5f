/**
 * The judge's prompts: FastChat's `judge_prompts.jsonl`, whose templates are filled by the rules of Python's
 * `str.format`. A template is read once into pieces, so braces in a question or an answer are never fields.
 */

import { z } from "zod";
import { inputError } from "../../../errors.ts";
import { type Table, tableOf } from "../../../table.ts";
import { readRecords } from "./json-lines.ts";
import { needsReference, type Question, type Turn } from "./questions.ts";

const PROMPTS = "the judge's prompts (FastChat's fastchat/llm_judge/data/judge_prompts.jsonl)";

/** Text and names of fields, in turn; the first piece is text. */
type Template = readonly string[];

export interface JudgePrompt {
  readonly name: string;
  readonly system: string;
  readonly template: Template;
}

export type JudgePrompts = ReadonlyMap<string, JudgePrompt>;

/** Names of the prompts of single-answer grading, and the fields that FastChat fills in each. */
const FIELDS: Table<readonly string[]> = tableOf({
  "single-v1": ["question", "answer"],
  "single-math-v1": ["question", "answer", "ref_answer_1", "ref_answer_2"],
  "single-v1-multi-turn": ["question_1", "question_2", "answer_1", "answer_2"],
  "single-math-v1-multi-turn": ["question_1", "question_2", "answer_1", "answer_2", "ref_answer_1", "ref_answer_2"],
});

const RATING_FORMAT = "[[rating]]";

const promptRecord = z.object({
  name: z.string(),
  system_prompt: z.string(),
  prompt_template: z.string(),
  output_format: z.string(),
});

export function promptName(question: Question, turn: Turn): string {
  return `single${needsReference(question) ? "-math" : ""}-v1${turn === 2 ? "-multi-turn" : ""}`;
}

/** The prompts that single-answer grading needs; other prompts of the file are left alone. */
export async function readJudgePrompts(path: string | undefined): Promise<JudgePrompts> {
  if (path === undefined) {
    throw inputError(
      "mt-bench",
      `needs the judge's prompts, which are not part of this program; give --prompts FILE: ${PROMPTS}`,
    );
  }
  const prompts = new Map<string, JudgePrompt>();
  for (const { where, record } of await readRecords(path, promptRecord, PROMPTS)) {
    const { name, system_prompt: system, prompt_template: text, output_format: format } = record;
    const fields = FIELDS[name];
    if (fields === undefined) continue;
    if (prompts.has(name)) throw inputError(where, `prompt ${name} comes a second time; expected each once`);
    if (format !== RATING_FORMAT) {
      throw inputError(where, `prompt ${name} asks for ${JSON.stringify(format)}; expected ${RATING_FORMAT}`);
    }
    prompts.set(name, { name, system, template: parseTemplate(text, fields, `${where}: prompt ${name}`) });
  }
  const missing = Object.keys(FIELDS).filter((name) => !prompts.has(name));
  if (missing.length > 0) throw inputError(path, `has no prompt ${missing.join(", ")}; expected ${PROMPTS}`);
  return prompts;
}

/**
 * The pieces of a template: `{name}` is a field, `{{` and `}}` are braces. Python's further forms (`{0}`, `{a.b}`,
 * `{a!r}`, `{a:>8}`) are refused, as is a field without a value.
 */
export function parseTemplate(text: string, fields: readonly string[], where: string): Template {
  const pieces = [""];
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character !== "{" && character !== "}") {
      pieces[pieces.length - 1] += character;
    } else if (text[at + 1] === character) {
      pieces[pieces.length - 1] += character;
      at += 1;
    } else if (character === "}") {
      throw inputError(where, `a single "}" at character ${at}; expected "}}" for a brace`);
    } else {
      const end = text.indexOf("}", at);
      if (end < 0) throw inputError(where, `a "{" at character ${at} is never closed; expected "{{" for a brace`);
      const field = text.slice(at + 1, end);
      if (!fields.includes(field)) {
        throw inputError(
          where,
          `the field {${field}} has no value; expected ${fields.map((name) => `{${name}}`).join(", ")}`,
        );
      }
      pieces.push(field, "");
      at = end;
    }
  }
  return pieces;
}

export function fillTemplate(template: Template, values: Readonly<Record<string, string>>): string {
  return template.map((piece, index) => (index % 2 === 0 ? piece : values[piece]!)).join("");
}
