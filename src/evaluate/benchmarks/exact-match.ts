/**
 * Exact match: a model answers, a rule pulls the answer proper out of the text, and it is right where it equals what
 * the same rule finds in the reference answer (as GSM8K is scored: Cobbe et al., "Training verifiers to solve math
 * word problems", 2021). Share of right answers, over all prompts and per skill.
 */
import { join } from "node:path";
import type { LeftOut } from "../../data/irregular.ts";
import type { StageContext } from "../../engine/context.ts";
import { inputError } from "../../errors.ts";
import { REASONING_OPTION, type Reasoning, reasoningOf } from "../reasoning.ts";
import { choiceEstimate } from "../subjects/choice-estimate.ts";
import { openSubject } from "../subjects/open.ts";
import type { Answer } from "../subjects/subject.ts";
import type { Benchmark, BenchmarkRequest, BenchmarkSettings } from "./benchmark.ts";
import { conversationOptions, conversationsOf, warnOfLeftOut } from "./conversations.ts";
import { type Question, questionsOf } from "./exact-match/questions.ts";
import {
  comparedExactMatch,
  compareExactMatch,
  type ExactMatchPrompt,
  type ExactMatchResult,
  exactMatchResult,
} from "./exact-match/result.ts";
import type { Rule } from "./exact-match/rule.ts";
import { RULE_NAMES, ruleOf } from "./exact-match/rules.ts";

export const exactMatch: Benchmark<ExactMatchResult> = {
  name: "exact-match",
  summary: "share of answers that are right by a rule: a number, a choice, JSON, a regular expression",
  source: "this project; the rule number as in Cobbe et al. 2021 (GSM8K)",
  reads: "answers",
  judged: false,
  metric: "accuracy",
  metrics: ["accuracy"],
  better: "more",
  options: [
    ...conversationOptions("conversations, whose last answers are the references"),
    { name: "rule", kind: "text", summary: "what of an answer counts", default: "number", choices: RULE_NAMES },
    { name: "pattern", kind: "text", summary: "the rule regex: its first group, or its match, is the answer" },
    { name: "max_tokens", kind: "integer", summary: "tokens an answer is cut at", default: 512, min: 1 },
    {
      name: "temperature",
      kind: "number",
      summary: "of sampling; 0 takes the most probable token",
      default: 0,
      min: 0,
    },
    REASONING_OPTION,
  ],
  estimate: async ({ subject, settings }) => {
    const dialogues = (await asked(settings)).questions.map(({ dialogue }) => dialogue);
    const choosing = choiceEstimate(subject, dialogues, Number(settings.max_tokens));
    return { prompts: dialogues.length, judge: choosing.calls === 0 ? null : choosing };
  },
  evaluate,
  compared: comparedExactMatch,
  compare: compareExactMatch,
  describe,
};

interface Asked {
  readonly rule: Rule;
  readonly questions: readonly Question[];
  readonly leftOut: readonly LeftOut[];
}

async function asked(settings: BenchmarkSettings): Promise<Asked> {
  const { data, rule: name, pattern } = settings;
  const rule = ruleOf(String(name), pattern === undefined ? undefined : String(pattern));
  const read = await conversationsOf("exact-match", settings, "conversations whose answers are known");
  const questions = questionsOf(read, String(data), rule, reasoningOf(settings));
  return { rule, questions, leftOut: read.leftOut };
}

async function evaluate(request: BenchmarkRequest, context: StageContext): Promise<ExactMatchResult> {
  const { subject: reference, settings, judge, out, seed } = request;
  const { rule, questions, leftOut } = await asked(settings);
  if (reference === null) throw inputError("exact-match", "needs a model that answers; add --model");
  const stage = `exact-match ${reference.name}`;
  const total = questions.length;
  warnOfLeftOut(leftOut, context.reporter, stage);
  const subject = await openSubject(reference, context, judge, out === null ? null : join(out, "answers.jsonl"));
  try {
    const answers = await subject.answer(
      questions.map(({ dialogue }) => dialogue),
      { temperature: Number(settings.temperature), maxTokens: Number(settings.max_tokens), seed },
      context.signal,
    );
    const given = questions.flatMap((question, i) => marked(question, answers[i]!, rule, reasoningOf(settings)));
    const { pattern } = settings;
    const result = exactMatchResult(
      reference.name,
      {
        rule: rule.name,
        ...(pattern === undefined ? {} : { pattern: String(pattern) }),
        max_tokens: Number(settings.max_tokens),
        temperature: Number(settings.temperature),
        reasoning: reasoningOf(settings),
      },
      given,
      total - given.length,
      leftOut,
    );
    if (result.prompts === 0) {
      const problem = `its template refuses each of the ${total} prompts, or its context is too short for them`;
      throw inputError(reference.name, `${problem}; there is nothing to measure`);
    }
    if (result.empty === result.prompts) {
      throw inputError(
        reference.name,
        `answers nothing: all ${result.prompts} answers are empty; there is nothing to measure`,
      );
    }
    for (const message of shortcomings(result)) context.reporter.report({ type: "warning", stage, message });
    const summary = shown(result, rule.name);
    context.reporter.report({ type: "end", stage, summary, figures: { ...result.metrics } });
    return result;
  } finally {
    await subject.dispose();
  }
}

/** What the rule makes of an answer; nothing of a prompt that was refused. */
function marked(
  { dialogue, skill, expected }: Question,
  answer: Answer,
  rule: Rule,
  reasoning: Reasoning,
): ExactMatchPrompt[] {
  const { text, finish } = answer;
  if (finish === "refused") return [];
  const extracted = rule.extract(text, reasoning);
  const correct = extracted === expected;
  return [
    { id: dialogue.id, ...(skill === undefined ? {} : { skill }), correct, extracted, expected, answer: text, finish },
  ];
}

/** What a reader of the figure must know of the answers it rests on. */
function shortcomings({ prompts, unparsed, empty, cut, refused, max_tokens, rule }: ExactMatchResult): string[] {
  const found: string[] = [];
  if (refused > 0)
    found.push(
      `${refused} of ${prompts + refused} prompts are left out: the template refuses them, or the context is too short`,
    );
  if (empty > 0) found.push(`${empty} of ${prompts} answers are empty; they count as wrong`);
  if (unparsed > empty) {
    found.push(`in ${unparsed - empty} of ${prompts} answers the rule ${rule} finds nothing; they count as wrong`);
  }
  if (cut > 0) found.push(`${cut} of ${prompts} answers are cut at ${max_tokens} tokens`);
  return found;
}

function shown({ metrics, prompts, unparsed }: ExactMatchResult, rule: string): string {
  const { value, low, high } = metrics.accuracy!;
  return `${value.toFixed(1)} [${low.toFixed(1)}, ${high.toFixed(1)}] % of ${prompts} by ${rule}, ${unparsed} not parsed`;
}

function describe(result: ExactMatchResult): string[] {
  const lines = [
    `${result.model}: ${result.prompts} prompts, the rule ${result.rule}` +
      (result.cut > 0 ? `; ${result.cut} answers cut at ${result.max_tokens} tokens` : "") +
      (result.refused > 0
        ? `; ${result.refused} left out, which its template refuses or its context is too short for`
        : ""),
  ];
  const width = Math.max(...Object.keys(result.metrics).map((name) => name.length));
  for (const [name, { value, low, high, unit }] of Object.entries(result.metrics)) {
    lines.push(`  ${name.padEnd(width)}  ${value.toFixed(1)} [${low.toFixed(1)}, ${high.toFixed(1)}] ${unit}`);
  }
  const unparsed = ((100 * result.unparsed) / result.prompts).toFixed(1);
  lines.push(
    `  ${"not parsed".padEnd(width)}  ${unparsed} % (${result.unparsed} of ${result.prompts}, ${result.empty} of them empty)`,
  );
  return lines;
}
