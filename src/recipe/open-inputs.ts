/**
 * Everything that a recipe names, opened and checked before any work begins: models that their engines can run, tokenizers,
 * chat templates, conversations. All problems come in one error.
 */

import { join } from "node:path";
import { z } from "zod";
import type { Conversation, RefusedConversation, TokenisedConversation } from "../data/conversation.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import type { ModelFacts, Sequence } from "../engine/engine.ts";
import { modelFacts } from "../engine/index.ts";
import type { Extent } from "../engine/onnx/batches.ts";
import { FusechatError, inputError, inputErrors } from "../errors.ts";
import type { JudgeOptions } from "../evaluate/judges/judge.ts";
import { readChecked } from "../formats/checked-json.ts";
import { NO_OUTLINES, type Outlines, openWeights, type Weights } from "../formats/weights.ts";
import type { KeyPath } from "../formats/yaml.ts";
import { type Model, openModel } from "../models/index.ts";
import { type ModelSizes, modelSizes } from "../models/sizes.ts";
import { type PreparedConversations, prepareConversations } from "./conversations.ts";
import { readsHeldOut } from "./evaluation.ts";
import { templateOf } from "./layout.ts";
import type { UnreadModel } from "./locate.ts";
import { expectedEvaluation, type PlannedEvaluation, planEvaluation } from "./plan-evaluation.ts";
import { pathText } from "./problems.ts";
import { isServed, type Recipe, type RecipeModel } from "./recipe.ts";

export interface OpenedModel {
  readonly name: string;
  readonly role: "pivot" | "source";
  readonly facts: ModelFacts;
  /** The server that computes its distributions. */
  readonly server: { readonly kind: string; readonly url: string } | null;
  /** The decoder that the embedded engine builds of it; null where it is another engine's alone. */
  readonly model: Model | null;
  readonly sizes: ModelSizes;
  /** Null of a model that a server has. */
  readonly weights: Weights | null;
  /** Tokens that its conversations are cut to: `max_length`, or less where the model takes no more. */
  readonly maxLength: number;
  /** What the conversations of the sample are to this model. */
  readonly sample: {
    readonly conversations: number;
    /** Conversations that its template refuses. */
    readonly refused: number;
    readonly tokens: number;
    /** Of each conversation that is not refused. */
    readonly extents: readonly Extent[];
    readonly rows: number;
    readonly responseBytes: number;
  };
  /** The first few of them, for a trial. */
  readonly trial: readonly Sequence[];
}

export interface RecipeInputs {
  /** Pivot and sources, in their order, without those that are unread. */
  readonly models: readonly OpenedModel[];
  readonly unread: readonly UnreadModel[];
  readonly conversations: PreparedConversations;
  /** What stands for the conversations, which are not here. */
  readonly expected: ExpectedData | null;
  readonly evaluations: readonly PlannedEvaluation[];
}

/** Enough to know the tokens of a data set to about 3 %: conversation lengths spread about as wide as their mean. */
const SAMPLED_CONVERSATIONS = 1000;
const TRIAL_CONVERSATIONS = 32;

export interface ExpectedData {
  readonly train: number;
  readonly heldOut: number;
  /** Means of a conversation. */
  readonly tokens: number;
  readonly rows: number;
}

/** What is known not to be here. */
export interface Lacking {
  readonly unread: readonly UnreadModel[];
  readonly data: boolean;
}

const NOTHING_LACKS: Lacking = { unread: [], data: false };

/** `where` places a key of the recipe in its file, for messages; `judge` is who judges, where that is known. */
export async function openInputs(
  recipe: Recipe,
  where: (path: KeyPath) => string = pathText,
  judge: JudgeOptions | null = null,
  outlines: Outlines = NO_OUTLINES,
  lacking: Lacking = NOTHING_LACKS,
): Promise<RecipeInputs> {
  const problems: string[] = [];
  const attempt = async <T>(path: KeyPath, open: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof FusechatError) || error.code !== "input") throw error;
      problems.push(...error.message.split("\n").map((line) => `${where(path)}: ${line}`));
      return undefined;
    }
  };
  const expected = lacking.data ? expectedData(recipe) : null;
  const conversations =
    expected === null ? await attempt(["data", "path"], () => prepareConversations(recipe)) : NO_CONVERSATIONS;
  const sample = evenly(conversations?.train ?? [], SAMPLED_CONVERSATIONS);
  const models: OpenedModel[] = [];
  for (const [index, reference] of [recipe.pivot, ...recipe.sources].entries()) {
    const path = index === 0 ? ["pivot"] : ["sources", index - 1];
    if (lacking.unread.some(({ name }) => name === reference.name)) continue;
    const how = { isPivot: index === 0, sample, expected, outlines };
    const opened = await attempt(path, () => open(recipe, reference, how));
    if (opened !== undefined) models.push(opened);
  }
  const evaluations: PlannedEvaluation[] = [];
  for (const [index, evaluation] of recipe.evaluate.benchmarks.entries()) {
    const heldOut = conversations?.heldOut ?? [];
    const path = ["evaluate", "benchmarks", index];
    const planned =
      expected !== null && readsHeldOut(evaluation)
        ? expectedEvaluation(recipe, evaluation, expected.heldOut)
        : await attempt(path, () => planEvaluation(recipe, evaluation, heldOut, judge));
    if (planned !== undefined) evaluations.push(planned);
  }
  if (problems.length > 0 || conversations === undefined) throw inputErrors(problems);
  return { models, unread: lacking.unread, conversations, expected, evaluations };
}

const NO_CONVERSATIONS: PreparedConversations = { prompts: null, train: [], heldOut: [], overlapping: 0, leftOut: [] };

function expectedData({ data }: Recipe): ExpectedData | null {
  if (data.size === undefined) return null;
  const { conversations, tokens, rows } = data.size;
  const heldOut = data.held_out_path === null ? Math.round(conversations * data.held_out) : 0;
  return { train: conversations - heldOut, heldOut, tokens: tokens / conversations, rows: rows / conversations };
}

async function open(
  recipe: Recipe,
  reference: RecipeModel,
  how: {
    readonly isPivot: boolean;
    readonly sample: readonly Conversation[];
    readonly expected: ExpectedData | null;
    readonly outlines: Outlines;
  },
): Promise<OpenedModel> {
  const { isPivot, sample, expected, outlines } = how;
  const { name, model: folder } = reference;
  const served = isServed(reference) && !isPivot;
  // The pivot is trained by the recipe's engine, whoever computes its distributions.
  const ownKind = isPivot && (recipe.engine.kind === "onnx" || isServed(reference)) ? null : reference.engine?.kind;
  const kind = ownKind ?? recipe.engine.kind;
  const facts = await modelFacts(kind, folder, outlines);
  const config = await readChecked(join(folder, "config.json"), z.looseObject({}), "the configuration of a model");
  const model = served
    ? null
    : kind === "onnx"
      ? await openModel(folder, outlines)
      : await knownModel(folder, outlines);
  const weights = served ? null : await openWeights(folder, outlines);
  const maxLength = longestOf(recipe, facts);
  const role = isPivot ? "pivot" : "source";
  const sizes = modelSizes(config, model?.shapes ?? weights?.tensors.values() ?? []);
  const known = { name, role, facts, server: serverOf(reference), model, sizes, weights, maxLength } as const;
  if (expected !== null) return { ...known, sample: expectedSample(expected, maxLength), trial: [] };
  const usesPivotTemplate = !isPivot && recipe.distributions.template === "pivot";
  const tokeniser = await openConversationTokeniser(folder, {
    maxLength,
    settings: templateOf(recipe, usesPivotTemplate ? recipe.pivot : reference),
    ...(usesPivotTemplate ? { templateFolder: recipe.pivot.model } : {}),
  });
  try {
    const found = await tokeniser.tokenise(sample, 0);
    const read = found.filter(isTokenised);
    const refusal = found.find((one): one is RefusedConversation => "refused" in one);
    if (read.length === 0 && refusal !== undefined) {
      throw inputError(folder, `the chat template refuses every conversation: ${refusal.refused}`);
    }
    return {
      ...known,
      sample: {
        conversations: found.length,
        refused: found.length - read.length,
        tokens: sum(read, ({ ids }) => ids.length),
        extents: read.map(({ rows }) => ({ length: rows.position.at(-1) ?? 0, rows: rows.position.length })),
        rows: sum(read, ({ rows }) => rows.position.length),
        responseBytes: sum(read, ({ bytes }) => bytes),
      },
      trial: read.slice(0, TRIAL_CONVERSATIONS).map(({ ids, rows }) => ({ ids, positions: rows.position })),
    };
  } finally {
    await tokeniser.dispose();
  }
}

/** As many conversations of the mean length as fill a step of the papers. */
function expectedSample({ tokens, rows }: ExpectedData, maxLength: number): OpenedModel["sample"] {
  const conversations = 128;
  const length = Math.min(Math.ceil(tokens), maxLength);
  return {
    conversations,
    refused: 0,
    tokens: conversations * tokens,
    extents: Array.from({ length: conversations }, () => ({ length, rows: Math.ceil(rows) })),
    rows: conversations * rows,
    responseBytes: 0,
  };
}

function serverOf({ engine }: RecipeModel): OpenedModel["server"] {
  return engine !== null && "url" in engine ? { kind: engine.kind, url: engine.url } : null;
}

/** Null where the embedded engine has no such architecture. */
async function knownModel(folder: string, outlines: Outlines): Promise<Model | null> {
  try {
    return await openModel(folder, outlines);
  } catch (error) {
    if (error instanceof FusechatError && error.code === "input") return null;
    throw error;
  }
}

/** `max_length`, or the model's own limit where that is lower. */
export function longestOf(recipe: Recipe, { maxPositions }: Pick<ModelFacts, "maxPositions">): number {
  return Math.min(recipe.data.max_length, maxPositions ?? Number.POSITIVE_INFINITY);
}

/** At most `count` entries, evenly spread over the list. */
function evenly<T>(list: readonly T[], count: number): T[] {
  if (list.length <= count) return [...list];
  return Array.from({ length: count }, (_, index) => list[Math.floor((index * list.length) / count)]!);
}

function isTokenised(one: TokenisedConversation | RefusedConversation): one is TokenisedConversation {
  return !("refused" in one);
}

function sum<T>(list: readonly T[], value: (entry: T) => number): number {
  return list.reduce((total, entry) => total + value(entry), 0);
}
