/**
 * The teacher pass: a model reads the conversations and every row's label probability and top-K go to shards. A shard
 * appears whole or not at all, and one that is there is not computed again; what is done of the next one is kept under
 * another name until then. `settings.json` comes first and ties the folder to one model, one data set and one way of
 * collecting; `manifest.json` comes last.
 */
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Conversation, TokenisedConversation } from "../data/conversation.ts";
import { checkTemplateSettings, type TemplateSettings } from "../data/template-settings.ts";
import { type ConversationTokeniser, openConversationTokeniser } from "../data/tokenise.ts";
import type { StageContext } from "../engine/context.ts";
import type { Engine, EngineModel, Sequence } from "../engine/engine.ts";
import { revisionOf, servedSha256, servedText } from "../engine/server/served-model.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { copyFileAtomic, exists, writeJson } from "../formats/files.ts";
import { type Lock, lockFolder } from "../formats/lock.ts";
import { openWeights } from "../formats/weights.ts";
import { hubNameOf, ownNameOf } from "../hub/id.ts";
import { tokenizerFiles } from "../models/tokenizer-files.ts";
import { createRandom } from "../random.ts";
import { writeDerivedTokenizer } from "../tokenizer/tokenizer-source.ts";
import { computedOtherwise, otherProgram, programOf } from "../version.ts";
import { checkSettings, MANIFEST_FILE, type Settings, shardName, WORK_FOLDER, writeSettings } from "./folder.ts";
import type { DistributionsMetadata, DistributionsShard } from "./shard.ts";
import { readDistributionsShard, writeDistributionsShard } from "./shard-file.ts";
import { createTally, type DistributionsSummary } from "./tally.ts";
import { computeShard, type ShardWork, sequenceOf } from "./teacher-pass.ts";

export type { DistributionsSummary } from "./tally.ts";

export interface CollectOptions {
  /** A model folder. */
  readonly model: string;
  readonly conversations: readonly Conversation[];
  /** Folder of the shards. */
  readonly out: string;
  readonly topK: number;
  /** The K most probable ids of each row, or K ids drawn from it; default `top`. */
  readonly rows?: RowsKind;
  /** Of sampled rows. */
  readonly seed?: number;
  /** Tokens a conversation is cut to. */
  readonly maxLength: number;
  /** The model's own chat template, or that of `templateFolder` (the papers' setting). */
  readonly template: "native" | "pivot";
  readonly templateFolder?: string;
  /** Date, variables and name of the template; default the fixed date, none, and the folder's default. */
  readonly templateSettings?: TemplateSettings;
  /** The model's name in the shards; default the folder's own. */
  readonly name?: string;
  /** Conversations a shard. */
  readonly shardConversations?: number;
}

/** Said of a recipe's key or a command's flag. */
export const SERVERS_GIVE_TOP =
  "servers tell the most probable tokens of a row and no others; take rows: top, or the embedded or the torch engine";

export const ROWS = ["top", "sampled"] as const;
export type RowsKind = (typeof ROWS)[number];

/** About 6 MB in memory and 128,000 tokens: hours for a 7B model without a GPU, so a shard is kept while it grows. */
const SHARD_CONVERSATIONS = 256;
/** After a shard's name: what is done of it. A kill or Ctrl-C loses one call to the engine. */
const UNFINISHED = ".unfinished";

export async function collectDistributions(
  options: CollectOptions,
  context: StageContext,
): Promise<DistributionsSummary> {
  checkOptions(options);
  const { conversations, out } = options;
  const size = options.shardConversations ?? SHARD_CONVERSATIONS;
  const tokeniser = await openConversationTokeniser(options.model, {
    maxLength: options.maxLength,
    ...(options.template === "pivot" && { templateFolder: options.templateFolder! }),
    ...(options.templateSettings !== undefined && { settings: options.templateSettings }),
  });
  let model: EngineModel | undefined;
  let lock: Lock | undefined;
  try {
    const metadata = await readMetadata(options, tokeniser, context.engine);
    const settings = settingsOf(options, metadata, size, context.engine);
    lock = await lockFolder(out);
    const begun = await checkSettings(out, settings);
    await checkAnyRow(options.model, tokeniser, conversations);
    const stage = `distributions ${metadata.model}`;
    const total = conversations.length;
    const tally = createTally();
    const uniformOf = options.rows === "sampled" ? uniformBy(options.seed ?? 0) : undefined;
    const other = begun === null ? null : otherProgram(begun.program, "distributions");
    if (other !== null) {
      const message = computedOtherwise(`${out} was begun`, other);
      context.reporter.report({ type: "warning", stage, message });
    }
    context.reporter.report({ type: "start", stage, total, unit: "conversations" });
    for (let first = 0; first < total; first += size) {
      const path = join(out, shardName(first / size));
      const unfinished = `${path}${UNFINISHED}`;
      const block = conversations.slice(first, first + size);
      const report = (done: number): void =>
        context.reporter.report({ type: "progress", stage, done: first + done, total, unit: "conversations" });
      const finished = await finishedShard(path, metadata, first, block.length);
      if (finished !== undefined) {
        await rm(unfinished, { force: true });
        tally.add(path, finished, first, block.length, true);
        report(block.length);
        continue;
      }
      throwIfInterrupted(context.signal, stage);
      if (model === undefined) {
        model = await context.engine.open(options.model, join(out, WORK_FOLDER));
        // Nothing is written for a model that cannot be opened.
        if (begun === null) await writeSettings(out, settings, { hub: hubNameOf(resolve(options.model)) });
        await copyTokenizer(options.model, out);
        if (model.ahead !== undefined) await computeAhead(model, tokeniser, options, context, { stage, uniformOf });
      }
      const tokenised = await tokeniser.tokenise(block, first);
      for (const conversation of tokenised) {
        if ("refused" in conversation) tally.refuse(conversation);
        else tally.accept(conversation);
      }
      const accepted = tokenised.filter((one): one is TokenisedConversation => !("refused" in one));
      const part = await finishedShard(unfinished, metadata, first, block.length);
      const shard = await computeShard(model, metadata, accepted, {
        begun: part,
        ...(uniformOf === undefined ? {} : { uniformOf }),
        onBatch: async (larger) => {
          await writeDistributionsShard(unfinished, larger);
          report(larger.conversation.length);
          throwIfInterrupted(context.signal, stage);
        },
        watch: { onProgress: report, ...(context.signal === undefined ? {} : { signal: context.signal }) },
      });
      await writeDistributionsShard(path, shard);
      await rm(unfinished, { force: true });
      tally.add(path, shard, first, block.length, false);
      report(block.length);
    }
    await rm(join(out, WORK_FOLDER), { recursive: true, force: true });
    const summary = tally.summary(out, metadata.model);
    await writeJson(join(out, MANIFEST_FILE), manifest(settings, summary));
    for (const message of tally.warnings()) context.reporter.report({ type: "warning", stage, message });
    context.reporter.report({ type: "end", stage, summary: summaryLine(summary), figures: { ...summary } });
    return summary;
  } finally {
    await model?.dispose();
    await tokeniser.dispose();
    await lock?.release();
  }
}

/**
 * Tells an engine that starts slowly of all rows at once. Shards that are there already are among them: so it is the same
 * job after every interruption, and is found again.
 */
async function computeAhead(
  model: EngineModel,
  tokeniser: ConversationTokeniser,
  { conversations, topK }: CollectOptions,
  { reporter, signal }: StageContext,
  { stage, uniformOf }: { readonly stage: string; readonly uniformOf: ShardWork["uniformOf"] },
): Promise<void> {
  const sequences: Sequence[] = [];
  for (let first = 0; first < conversations.length; first += SHARD_CONVERSATIONS) {
    for (const one of await tokeniser.tokenise(conversations.slice(first, first + SHARD_CONVERSATIONS), first)) {
      if (!("refused" in one)) sequences.push(sequenceOf(one, uniformOf));
    }
  }
  const onProgress = (done: number): void =>
    reporter.report({ type: "progress", stage, done, total: sequences.length, unit: "conversations" });
  await model.ahead?.(sequences, topK, { onProgress, ...(signal === undefined ? {} : { signal }) });
}

/** A conversation's numbers follow from its id, so that neither its place nor what else is read changes them. */
function uniformBy(seed: number): (conversation: TokenisedConversation) => Float32Array {
  return ({ id, rows }) => {
    const random = createRandom(`rows/${seed}/${id}`);
    // 24 bits: rounded to single precision a number just below 1 would be 1.
    return Float32Array.from(rows.position, () => random.integer(2 ** 24) / 2 ** 24);
  };
}

/** Beside the shards, so that a folder speaks for itself. */
async function copyTokenizer(folder: string, out: string): Promise<void> {
  for (const name of await tokenizerFiles(folder)) await copyFileAtomic(join(folder, name), join(out, name));
  await writeDerivedTokenizer(folder, out);
}

function checkOptions({
  conversations,
  topK,
  maxLength,
  template,
  templateFolder,
  templateSettings,
  shardConversations,
}: CollectOptions): void {
  if (templateSettings !== undefined) checkTemplateSettings(templateSettings, "distributions");
  const atLeastOne = { top_k: topK, max_length: maxLength, shard_conversations: shardConversations ?? 1 };
  for (const [name, value] of Object.entries(atLeastOne)) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw inputError("distributions", `expected ${name} to be a whole number of at least 1, found ${value}`);
    }
  }
  if (template === "pivot" && templateFolder === undefined) {
    throw inputError("distributions", "the template of the pivot was asked for, but no folder that holds it was given");
  }
  if (conversations.length === 0) throw inputError("distributions", "there are no conversations");
}

async function readMetadata(
  options: CollectOptions,
  { tokenizer, identity }: ConversationTokeniser,
  engine: Engine,
): Promise<DistributionsMetadata> {
  const { served } = engine;
  if (served !== undefined && options.rows === "sampled") throw inputError(options.model, SERVERS_GIVE_TOP);
  const { vocabulary } = await engine.facts(options.model);
  if (options.topK > vocabulary) {
    throw inputError(options.model, `top_k is ${options.topK}, but the model has only ${vocabulary} tokens`);
  }
  return {
    model: options.name ?? ownNameOf(resolve(options.model)),
    ...(await weightsOf(options.model, served, tokenizer.sha256)),
    tokenizerSha256: tokenizer.sha256,
    template: options.template,
    ...identity,
    topK: options.topK,
    ...(options.rows === "sampled" ? { rows: options.rows } : {}),
    vocabulary,
    maxLength: options.maxLength,
  };
}

/** The weights by their hash, or which model it is that a server has. */
async function weightsOf(
  folder: string,
  served: Engine["served"],
  tokenizerSha256: string,
): Promise<Pick<DistributionsMetadata, "weightsSha256" | "served">> {
  if (served === undefined) return { weightsSha256: await (await openWeights(folder)).sha256() };
  const text = servedText(served, await revisionOf(folder));
  return { weightsSha256: servedSha256(text, tokenizerSha256), served: text };
}

/** What the shards depend on. No paths: the same work elsewhere has the same settings. */
function settingsOf(
  options: CollectOptions,
  metadata: DistributionsMetadata,
  size: number,
  { identity }: Pick<Engine, "identity">,
): Settings {
  return {
    model: metadata.model,
    ...(metadata.served === undefined ? {} : { served: metadata.served }),
    weights_sha256: metadata.weightsSha256,
    tokenizer_sha256: metadata.tokenizerSha256,
    template: metadata.template,
    template_sha256: metadata.templateSha256,
    special_tokens_sha256: metadata.specialTokensSha256,
    template_name: metadata.templateName,
    template_variables: metadata.templateVariables,
    date: metadata.date,
    top_k: metadata.topK,
    ...(metadata.rows === undefined ? {} : { rows: metadata.rows, seed: options.seed ?? 0 }),
    vocabulary: metadata.vocabulary,
    max_length: metadata.maxLength,
    shard_conversations: size,
    conversations: options.conversations.length,
    conversations_sha256: conversationsSha256(options.conversations),
    ...(identity === undefined ? {} : { engine: identity }),
  };
}

/** One hash for a data set: that of its conversations' ids, a line each. */
export function conversationsSha256(conversations: readonly Conversation[]): string {
  const hash = createHash("sha256");
  for (const { id } of conversations) hash.update(`${id}\n`, "utf8");
  return hash.digest("hex");
}

/** Before anything is written: the template must accept something, and some response must fit. */
async function checkAnyRow(
  model: string,
  tokeniser: ConversationTokeniser,
  conversations: readonly Conversation[],
): Promise<void> {
  const step = 64;
  let reason = "none has a response within max_length";
  for (let first = 0; first < conversations.length; first += step) {
    for (const one of await tokeniser.tokenise(conversations.slice(first, first + step), first)) {
      if ("refused" in one) reason = `the template refuses: ${one.refused}`;
      else if (one.rows.position.length > 0) return;
    }
  }
  throw inputError(model, `none of the ${conversations.length} conversations can be used; ${reason}`);
}

/** A shard that an earlier run finished, or undefined. One that cannot be of this block is refused. */
async function finishedShard(
  path: string,
  metadata: DistributionsMetadata,
  first: number,
  count: number,
): Promise<DistributionsShard | undefined> {
  if (!(await exists(path))) return undefined;
  const shard = await readDistributionsShard(path);
  const differs = (Object.keys(metadata) as (keyof DistributionsMetadata)[]).find(
    (key) => shard.metadata[key] !== metadata[key],
  );
  if (differs !== undefined) {
    throw inputError(
      path,
      `its ${differs} is "${shard.metadata[differs]}", expected "${metadata[differs]}"; remove it`,
    );
  }
  const outside = shard.conversation.find((index) => index < first || index >= first + count);
  if (outside !== undefined) {
    throw inputError(path, `holds conversation ${outside}, expected ${first} to ${first + count - 1}; remove it`);
  }
  return shard;
}

/** Closes the folder. The same whether the collection was interrupted or not. */
function manifest(settings: Settings, summary: DistributionsSummary): object {
  const { out: _out, model: _model, kept_shards: _kept, ...figures } = summary;
  return { program: programOf("distributions"), settings, ...figures };
}

function summaryLine({ rows, conversations, shards, kept_shards, refused }: DistributionsSummary): string {
  const kept = kept_shards > 0 ? ` (${kept_shards} already there)` : "";
  const left = refused.length > 0 ? `, ${refused.length} refused by the template` : "";
  const files = shards.length === 1 ? "1 shard" : `${shards.length} shards`;
  return `${rows} rows of ${conversations} conversations in ${files}${kept}${left}`;
}
