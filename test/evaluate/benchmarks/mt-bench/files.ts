/** MT-Bench's files in small: questions, prompts and references of our own, in FastChat's form, in a temporary folder. */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallQuestion {
  readonly question_id: number;
  readonly category: string;
  readonly turns: readonly string[];
  readonly required_temperature?: number;
}

/** Two with a reference, two without; braces and dollar signs where a careless template would stumble. */
export const QUESTIONS: readonly SmallQuestion[] = [
  { question_id: 1, category: "writing", turns: ["Write {answer} and {{x}}.", "Again, shorter. $& {0}"] },
  { question_id: 2, category: "math", turns: ["What is 2 + 2?", "And plus {question_1}?"] },
  { question_id: 3, category: "stem", turns: ["Why is ice light?", "And snow?"] },
  { question_id: 4, category: "coding", turns: ["Print {} in C.", "Now in Go."], required_temperature: 0.3 },
];

export const PROMPTS: readonly Record<string, unknown>[] = [
  prompt("single-v1", "Judge.", "Q {question}\nA {answer}\nAs {{rating}}"),
  prompt("single-math-v1", "Judge.", "Q {question}\nR {ref_answer_1}\nA {answer}"),
  prompt("single-v1-multi-turn", "Judge both.", "{question_1}|{answer_1}|{question_2}|{answer_2}"),
  prompt(
    "single-math-v1-multi-turn",
    "Judge both.",
    "{ref_answer_1}|{ref_answer_2}||{question_1}|{answer_1}|{question_2}|{answer_2}",
  ),
  { ...prompt("pair-v2", "Compare.", "{question} {answer_a} {answer_b}"), output_format: "[[A]]" },
];

export const REFERENCES: readonly Record<string, unknown>[] = [
  answer(2, "a-judge", ["4", "It depends."]),
  answer(4, "a-judge", ["puts", "fmt.Println"]),
];

function prompt(name: string, system_prompt: string, prompt_template: string): Record<string, unknown> {
  return { name, type: "single", system_prompt, prompt_template, output_format: "[[rating]]" };
}

export function answer(question_id: number, model_id: string, turns: readonly string[]): Record<string, unknown> {
  return { question_id, answer_id: "x", model_id, choices: [{ index: 0, turns }], tstamp: 1.5 };
}

export function judgment(
  question_id: number,
  turn: number,
  score: number,
  rest: Record<string, unknown> = {},
): Record<string, unknown> {
  const prompt = `single${question_id % 2 === 0 ? "-math" : ""}-v1${turn === 2 ? "-multi-turn" : ""}`;
  const said = score === -1 ? "I would rather not say." : `Rating: [[${score}]]`;
  return {
    ...{
      question_id,
      model: "ours",
      judge: ["a-judge", prompt],
      user_prompt: "?",
      judgment: said,
      score,
      turn,
      tstamp: 1,
    },
    ...rest,
  };
}

/** Both turns of the four questions, with these scores. */
export function judgments(
  scores: readonly (readonly [number, number])[],
  rest: Record<string, unknown> = {},
): Record<string, unknown>[] {
  return scores.flatMap(([first, second], index) => [
    judgment(index + 1, 1, first, rest),
    judgment(index + 1, 2, second, rest),
  ]);
}

export function lines(records: readonly unknown[]): string {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}

/** Writes a file a name, records as JSON Lines; gives their paths. */
export async function filesIn<Name extends string>(
  files: Readonly<Record<Name, readonly unknown[] | string | Uint8Array>>,
): Promise<Record<Name | "folder", string>> {
  const folder = await mkdtemp(join(tmpdir(), "fusechat-mt-bench-"));
  const paths: Record<string, string> = { folder };
  for (const [name, content] of Object.entries<readonly unknown[] | string | Uint8Array>(files)) {
    paths[name] = join(folder, `${name}.jsonl`);
    const bytes = typeof content === "string" || content instanceof Uint8Array ? content : lines(content);
    await writeFile(paths[name], bytes);
  }
  return paths as Record<Name | "folder", string>;
}
