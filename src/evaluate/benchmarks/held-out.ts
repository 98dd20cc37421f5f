/**
 * Held-out loss in nats per byte of unseen responses, over all conversations and per skill. Per byte, because models
 * with different tokenizers then compare; FORMATS ("From conversation to rows") says which bytes count. Where the data
 * knows the distribution its answers were drawn from, also the distance above that floor, which no model can go below
 * on average: 0 is a perfect model, whatever the skill's own entropy.
 */

import { resolve } from "node:path";
import { type Conversation, isTrained, type TokenisedConversation } from "../../data/conversation.ts";
import type { LeftOut } from "../../data/irregular.ts";
import type { TemplateSettings } from "../../data/template-settings.ts";
import { openConversationTokeniser } from "../../data/tokenise.ts";
import type { StageContext } from "../../engine/context.ts";
import type { EngineModel } from "../../engine/engine.ts";
import { isLogProbability } from "../../engine/log-probability.ts";
import { failure, inputError, throwIfInterrupted } from "../../errors.ts";
import { ownNameOf } from "../../hub/id.ts";
import { bootstrapRatio } from "../../statistics/bootstrap.ts";
import { emptyTable } from "../../table.ts";
import type { Benchmark, Metric } from "./benchmark.ts";
import { conversationOptions, conversationsOf, leftOutOf, warnOfLeftOut } from "./conversations.ts";
import { comparedHeldOut, compareHeldOut, heldOutMeasures, SEED, UNIT } from "./held-out-comparison.ts";
import type { HeldOutConversation, HeldOutResult } from "./held-out-result.ts";

/** Conversations an engine call, between two looks at the abort signal. */
const CHUNK = 64;

export interface HeldOutOptions {
  /** Model folder. */
  readonly model: string;
  readonly conversations: readonly Conversation[];
  /** Records of the data that cannot be used. */
  readonly leftOut?: readonly LeftOut[];
  /** Tokens a conversation is cut to. */
  readonly maxLength: number;
  /** What the conversations are rendered with; default the fixed date and no variables. */
  readonly template?: TemplateSettings;
  /** How the result calls the model; its folder's name where not given. */
  readonly name?: string;
}

export const heldOut: Benchmark<HeldOutResult> = {
  name: "held-out",
  summary: "nats per byte of unseen responses, per skill, and above the floor where it is known",
  source: "this project (FORMATS, nats_per_byte)",
  reads: "weights",
  judged: false,
  metric: "nats_per_byte",
  metrics: ["nats_per_byte", "above_floor"],
  better: "less",
  options: [
    ...conversationOptions("conversations that no training has seen"),
    { name: "max_length", kind: "integer", summary: "tokens a conversation is cut to", default: 2048, min: 1 },
  ],
  estimate: async ({ settings }) => ({
    prompts: (await conversationsOf("held-out", settings, NEEDS)).conversations.length,
    judge: null,
  }),
  evaluate: async ({ subject, settings }, context) => {
    if (subject?.kind !== "folder") {
      throw inputError("held-out", "reads probabilities, so it needs a model folder; an endpoint gives answers only");
    }
    const { conversations, leftOut } = await conversationsOf("held-out", settings, NEEDS);
    const { folder: model, name, template } = subject;
    const options = { model, name, conversations, leftOut, maxLength: Number(settings.max_length) };
    return evaluateHeldOut({ ...options, ...(template !== undefined && { template }) }, context);
  },
  compared: comparedHeldOut,
  compare: compareHeldOut,
  describe: describeHeldOut,
};

const NEEDS = "conversations to measure on";

export async function evaluateHeldOut(options: HeldOutOptions, context: StageContext): Promise<HeldOutResult> {
  if (options.conversations.length === 0) {
    throw inputError("evaluate held-out", "the data set is empty; expected at least one conversation");
  }
  const folder = options.model;
  const name = options.name ?? ownNameOf(resolve(folder));
  const stage = `held-out ${name}`;
  const total = options.conversations.length;
  const model = await context.engine.open(folder);
  try {
    const tokeniser = await openConversationTokeniser(folder, {
      maxLength: options.maxLength,
      ...(options.template !== undefined && { settings: options.template }),
    });
    try {
      context.reporter.report({ type: "start", stage, total, unit: "conversations" });
      warnOfLeftOut(options.leftOut ?? [], context.reporter, stage);
      const read: HeldOutConversation[] = [];
      const refusals: string[] = [];
      for (let first = 0; first < total; first += CHUNK) {
        throwIfInterrupted(context.signal, stage);
        const chunk = options.conversations.slice(first, first + CHUNK);
        const tokenised: TokenisedConversation[] = [];
        for (const found of await tokeniser.tokenise(chunk, first)) {
          if ("refused" in found) refusals.push(found.refused);
          else tokenised.push(found);
        }
        const nats = await conversationNats(model, tokenised);
        for (const [index, found] of tokenised.entries()) {
          read.push(entry(found, options.conversations[found.conversation]!, nats[index]!));
        }
        const done = Math.min(first + CHUNK, total);
        context.reporter.report({ type: "progress", stage, done, total, unit: "conversations" });
      }
      const result = heldOutResult(name, read, refusals.length, options.leftOut);
      if (result.bytes === 0) throw nothingRead(folder, options.maxLength, refusals);
      if (refusals.length > 0) {
        const message = `the template refuses ${refusals.length} of ${total} conversations (${refusals[0]}); they are left out`;
        context.reporter.report({ type: "warning", stage, message });
      }
      const { value, low, high } = result.metrics.nats_per_byte!;
      const summary = `${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}] ${UNIT}`;
      context.reporter.report({ type: "end", stage, summary, figures: { ...result.metrics } });
      return result;
    } finally {
      await tokeniser.dispose();
    }
  } finally {
    await model.dispose();
  }
}

/** Sum of -log p(label) of each conversation, nats; 0 where a conversation has no rows. */
async function conversationNats(model: EngineModel, tokenised: readonly TokenisedConversation[]): Promise<number[]> {
  const withRows = tokenised.filter(({ rows }) => rows.position.length > 0);
  const sequences = withRows.map(({ ids, rows }) => ({ ids, positions: rows.position }));
  const labelLogp = sequences.length === 0 ? new Float32Array() : (await model.rows(sequences, 1)).labelLogp;
  let row = 0;
  return tokenised.map(({ conversation, rows }) => {
    let nats = 0;
    for (let r = 0; r < rows.position.length; r++, row++) {
      nats = isLogProbability(labelLogp[row]!) ? nats - labelLogp[row]! : Number.NaN;
    }
    if (Number.isFinite(nats)) return nats;
    throw failure(model.folder, `gives conversation ${conversation} ${nats} nats; its weights are broken or overflow`);
  });
}

function entry(found: TokenisedConversation, conversation: Conversation, nats: number): HeldOutConversation {
  const { skill, floorNats } = conversation;
  const rows = found.rows.position.length;
  return {
    id: found.id,
    nats,
    // Nothing was read of a conversation that is cut before its first response.
    bytes: rows === 0 ? 0 : found.bytes,
    rows,
    ...(skill === undefined ? {} : { skill }),
    ...(floorNats === undefined || rows === 0 || isCut(found, conversation) ? {} : { floor_nats: floorNats }),
  };
}

/** True where `max_length` has taken answers away: their nats are then missing, but not from the floor. */
function isCut(found: TokenisedConversation, conversation: Conversation): boolean {
  let bytes = 0;
  for (const turn of conversation.turns) {
    if (isTrained(turn)) bytes += Buffer.byteLength(turn.content, "utf8");
  }
  return found.bytes < bytes;
}

/** The result document of these conversations. */
export function heldOutResult(
  name: string,
  read: readonly HeldOutConversation[],
  refused: number,
  leftOut: readonly LeftOut[] = [],
): HeldOutResult {
  const metrics: Record<string, Metric> = emptyTable();
  for (const measure of heldOutMeasures(read)) {
    const terms = read.map(measure.term).filter((term) => term !== null);
    if (terms.length === 0) continue;
    const interval = bootstrapRatio(terms, SEED);
    metrics[measure.name] = { ...interval, unit: UNIT, prompts: terms.length };
  }
  return {
    benchmark: "held-out",
    model: name,
    metrics,
    rows: sum(read, "rows"),
    bytes: sum(read, "bytes"),
    conversations: read.length,
    refused,
    ...leftOutOf(leftOut),
    per_conversation: read,
  };
}

function sum(read: readonly HeldOutConversation[], key: "rows" | "bytes"): number {
  return read.reduce((total, conversation) => total + conversation[key], 0);
}

function nothingRead(folder: string, maxLength: number, refusals: readonly string[]): Error {
  if (refusals.length > 0) return inputError(folder, `the template refuses every conversation: ${refusals[0]}`);
  return inputError(folder, `with max_length ${maxLength} every conversation is cut before its first response`);
}

function describeHeldOut(result: HeldOutResult): string[] {
  const lines = [
    `${result.model}: ${result.conversations} conversations, ${result.rows} rows, ${result.bytes} bytes` +
      (result.refused > 0 ? `; ${result.refused} refused by the template` : ""),
  ];
  const width = Math.max(...Object.keys(result.metrics).map((name) => name.length));
  for (const [name, { value, low, high, unit }] of Object.entries(result.metrics)) {
    lines.push(`  ${name.padEnd(width)}  ${value.toFixed(4)} [${low.toFixed(4)}, ${high.toFixed(4)}] ${unit}`);
  }
  return lines;
}
