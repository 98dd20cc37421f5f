/**
 * From a model, or from its finished outputs, to judgments. What the judge will need is read before the first answer is
 * asked for, and everything that was paid for is kept: answers and judgments as they come, the benchmark's own files at
 * the end.
 */
import { join } from "node:path";
import type { StageContext } from "../../../engine/context.ts";
import type { ChatMessage } from "../../../engine/endpoint/endpoint.ts";
import { inputError } from "../../../errors.ts";
import { writeJson } from "../../../formats/files.ts";
import type { JudgeEstimate, JudgeOptions } from "../../judges/judge.ts";
import { openJudge } from "../../judges/open.ts";
import { answerIn, type Reasoning } from "../../reasoning.ts";
import { choiceEstimate, together } from "../../subjects/choice-estimate.ts";
import { openSubject } from "../../subjects/open.ts";
import type { Dialogue, SubjectReference } from "../../subjects/subject.ts";
import { annotationRecord } from "./annotation-record.ts";
import { BASELINE } from "./annotations.ts";
import { excerpt, inOrder } from "./instruction-order.ts";
import { codePoints } from "./json-records.ts";
import { judgePairs, type OutputPair, type PairJudgment, pairQuestions } from "./judge-pairs.ts";
import { type JudgePromptValues, readJudgePrompt } from "./judge-prompt.ts";
import type { JudgedPair, Judgments } from "./judged-pair.ts";
import {
  type ModelOutput,
  type ModelOutputs,
  modelOutputRecords,
  readInstructions,
  readModelOutputs,
} from "./model-outputs.ts";

export interface JudgingOptions {
  /** Paths of the benchmark's files; without `instructions`, the baseline's. */
  readonly baseline: string | undefined;
  readonly instructions: string | undefined;
  readonly judgePrompt: string | undefined;
  /** Finished outputs; the subject is then not asked. */
  readonly outputs: string | undefined;
  readonly subject: SubjectReference | null;
  readonly judge: JudgeOptions | null;
  readonly bothOrders: boolean;
  readonly incomplete: boolean;
  readonly temperature: number;
  /** New tokens an answer. */
  readonly maxTokens: number;
  readonly seed: string;
  /** Whether the judge sees the model's reasoning. */
  readonly reasoning: Reasoning;
  /** Folder for what is kept, or null. */
  readonly out: string | null;
}

interface Prepared {
  readonly judge: JudgeOptions;
  readonly prompt: (values: JudgePromptValues) => ChatMessage[];
  readonly baseline: ModelOutputs;
  /** Finished, in the baseline's order. */
  readonly finished: ModelOutputs | null;
}

interface Answered extends ModelOutputs {
  readonly cut?: number;
  readonly refused?: number;
}

export async function judgeOutputs(options: JudgingOptions, context: StageContext): Promise<Judgments> {
  const { out } = options;
  const { judge: judgeOptions, prompt, baseline, finished } = await prepare(options);
  const answered: Answered = finished ?? withoutReasoning(await ask(baseline, options, context), options.reasoning);
  const stage = `alpaca-eval ${answered.generator}`;
  tellEmpty(answered, options.maxTokens, stage, context);
  if (out !== null) await writeJson(join(out, "model_outputs.json"), modelOutputRecords(answered));
  const pairs = pairsOf(baseline, answered);
  const judge = await openJudge(judgeOptions, ledgerOf(out));
  try {
    const judged = await judgePairs(judge, pairs, { ...options, prompt }, stage, context);
    if (out !== null) {
      const names = { baseline: baseline.generator, model: answered.generator, judge: judge.model };
      await writeJson(
        join(out, "annotations.json"),
        pairs.map((pair, place) => annotationRecord(pair, judged[place]!, names)),
      );
    }
    const { cut, refused } = answered;
    return {
      model: answered.generator,
      baseline: baseline.generator,
      judge: judge.model,
      pairs: pairs.map((pair, place) => judgedPair(pair, judged[place]!)),
      ...(cut !== undefined && { cut }),
      ...(refused !== undefined && { refused }),
      reasoning: options.reasoning,
      ...tokensOf(judged),
    };
  } finally {
    await judge.dispose();
  }
}

/**
 * What the judge will be asked: exact where the outputs are finished, else as if the model's answers were as long as the
 * baseline's and nothing were kept of an earlier run, the choices of an ensemble by the judge among it.
 */
export async function estimateJudging(options: JudgingOptions): Promise<{ prompts: number; judge: JudgeEstimate }> {
  const { judge: judgeOptions, prompt, baseline, finished } = await prepare(options);
  // One character more than the baseline's, because equal answers are not asked about.
  const stand = baseline.outputs.map((record) => ({ ...record, output: `${record.output}.` }));
  const pairs = pairsOf(baseline, finished ?? { generator: "", outputs: stand });
  const judge = await openJudge(judgeOptions, finished === null ? null : ledgerOf(options.out));
  try {
    const judging = judge.estimate(pairQuestions(pairs, { ...options, prompt }));
    if (finished !== null) return { prompts: pairs.length, judge: judging };
    const choosing = choiceEstimate(options.subject, dialoguesOf(baseline), options.maxTokens);
    return { prompts: pairs.length, judge: together(choosing, judging) };
  } finally {
    await judge.dispose();
  }
}

async function prepare(options: JudgingOptions): Promise<Prepared> {
  const { judge, outputs, subject, incomplete } = options;
  if (outputs === undefined && subject === null) {
    throw inputError("alpaca-eval", "needs a model to ask, or finished --outputs, or finished --annotations");
  }
  if (judge === null) {
    throw inputError(
      "alpaca-eval",
      "needs a judge, a model behind an OpenAI-compatible endpoint; or give finished --annotations",
    );
  }
  const prompt = await readJudgePrompt(options.judgePrompt);
  const whole = await readBaseline(options.baseline);
  const list = options.instructions === undefined ? null : await readInstructions(options.instructions);
  const wanted = list?.map(({ instruction }) => instruction);
  const chosen = wanted === undefined ? whole.outputs : chosenFrom(whole.outputs, wanted, options.baseline!);
  const order = { list: chosen.map(({ instruction }) => instruction), incomplete };
  if (outputs === undefined) return { judge, prompt, baseline: { ...whole, outputs: chosen }, finished: null };
  const found = await readModelOutputs(outputs, "finished outputs, a model_outputs.json");
  const ordered = { ...found, outputs: inOrder(outputs, found.outputs, order) };
  const finished = withoutReasoning(ordered, options.reasoning);
  const there = new Set(finished.outputs.map(({ instruction }) => instruction));
  const baseline = { ...whole, outputs: chosen.filter(({ instruction }) => there.has(instruction)) };
  return { judge, prompt, baseline, finished };
}

/** The baseline's outputs; `baseline` is the setting. */
export async function readBaseline(baseline: string | undefined): Promise<ModelOutputs> {
  const what = `the baseline's outputs, alpaca_eval's results/${BASELINE}/model_outputs.json`;
  if (baseline === undefined) throw inputError("alpaca-eval", `needs --baseline: ${what}`);
  const read = await readModelOutputs(baseline, what);
  // Duplicates are refused, and any order is its own.
  const list = read.outputs.map(({ instruction }) => instruction);
  return { ...read, outputs: inOrder(baseline, read.outputs, { list, incomplete: false }) };
}

/** The baseline's outputs to these instructions, in their order. */
function chosenFrom(outputs: readonly ModelOutput[], wanted: readonly string[], path: string): ModelOutput[] {
  const byInstruction = new Map(outputs.map((output) => [output.instruction, output]));
  const chosen = wanted.map((instruction) => {
    const found = byInstruction.get(instruction);
    if (found === undefined) throw inputError(path, `has no output for ${excerpt(instruction)} of --instructions`);
    return found;
  });
  return inOrder(path, chosen, { list: wanted, incomplete: false });
}

function dialoguesOf({ outputs }: ModelOutputs): Dialogue[] {
  return outputs.map(({ instruction }, place) => ({
    id: String(place),
    turns: [{ role: "user", content: instruction }],
  }));
}

async function ask(
  baseline: ModelOutputs,
  { subject: reference, judge, out, temperature, maxTokens, seed }: JudgingOptions,
  context: StageContext,
): Promise<Answered> {
  const keep = out === null ? null : join(out, "answers.jsonl");
  const subject = await openSubject(reference!, context, judge, keep);
  try {
    const settings = { temperature, maxTokens, seed };
    const answers = await subject.answer(dialoguesOf(baseline), settings, context.signal);
    return {
      generator: subject.name,
      outputs: baseline.outputs.map((record, place) => ({ ...record, output: answers[place]!.text })),
      cut: answers.filter(({ finish }) => finish === "length").length,
      refused: answers.filter(({ finish }) => finish === "refused").length,
    };
  } finally {
    await subject.dispose();
  }
}

/** As the judge sees them, and as they are kept in the benchmark's files. */
function withoutReasoning<T extends ModelOutputs>(answered: T, reasoning: Reasoning): T {
  const outputs = answered.outputs.map((record) => ({ ...record, output: answerIn(record.output, reasoning) }));
  return { ...answered, outputs };
}

function tellEmpty(answered: Answered, maxTokens: number, stage: string, { reporter }: StageContext): void {
  const { outputs, cut = 0, refused = 0 } = answered;
  const empty = outputs.filter(({ output }) => output.trim() === "").length;
  const total = outputs.length;
  if (empty === total) throw inputError(stage, `all ${total} answers are empty; there is nothing to judge`);
  const told: string[] = [];
  if (cut > 0) told.push(`${cut} of ${total} answers are cut at ${maxTokens} tokens`);
  if (refused > 0)
    told.push(
      `${refused} of ${total} instructions could not be asked: the template refuses them, or the context is too short`,
    );
  if (empty > 0) told.push(`${empty} of ${total} answers are empty; they lose without the judge being asked`);
  for (const message of told) reporter.report({ type: "warning", stage, message });
}

/** Both have the same instructions in the same order. */
function pairsOf(baseline: ModelOutputs, { outputs }: ModelOutputs): OutputPair[] {
  return baseline.outputs.map(({ instruction, output, dataset }, place) => ({
    instruction,
    ...(dataset !== undefined && { dataset }),
    baselineOutput: output,
    output: outputs[place]!.output,
  }));
}

function judgedPair({ instruction, baselineOutput, output }: OutputPair, judgment: PairJudgment): JudgedPair {
  const { preference, orders, replies } = judgment;
  return {
    instruction,
    preference,
    length: codePoints(output),
    baselineLength: codePoints(baselineOutput),
    isEmpty: output.trim() === "",
    ...(preference === null && { answer: replies.map(({ text }) => text).join(" / ") }),
    ...(orders && { orders }),
  };
}

function tokensOf(judged: readonly PairJudgment[]): Pick<Judgments, "tokens"> {
  const replies = judged.flatMap((judgment) => judgment.replies);
  let [prompt, answer] = [0, 0];
  for (const { promptTokens, answerTokens } of replies) {
    if (promptTokens === null || answerTokens === null) return {};
    prompt += promptTokens;
    answer += answerTokens;
  }
  return { tokens: { questions: replies.length, prompt, answer } };
}

function ledgerOf(out: string | null): string | null {
  return out === null ? null : join(out, "ledger.jsonl");
}
