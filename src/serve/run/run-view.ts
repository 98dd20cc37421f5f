/**
 * A run as the server shows it: its conversations, what was stored of their rows, and what a model says in the same places now.
 */
import type { Conversation } from "../../data/conversation.ts";
import { SHA256_BYTES } from "../../distributions/shard-file.ts";
import { idsSha256 } from "../../distributions/teacher-pass.ts";
import type { RankedRows } from "../../engine/engine.ts";
import { inputError, internalError } from "../../errors.ts";
import { createTokenTable, readTokenTableParts } from "../../tokenizer/token-table.ts";
import type { TokenTable } from "../../tokenizer/tokenizer.ts";
import { ApiError } from "../api-error.ts";
import type { ServedModel } from "../served-model.ts";
import { openConversationFile, upTo } from "./conversation-file.ts";
import { type NamedFolder, openStoredRows, type StoredConversation } from "./stored-rows.ts";

/** Where a run has what is shown of it. */
export interface RunReference {
  /** The JSON Lines file of the conversations that rows are of. */
  readonly data: string;
  /** The folder of the pivot's distributions. */
  readonly pivot: NamedFolder;
  /** A folder with the pivot's tokenizer. */
  readonly tokenizer: string;
  /** The folders of the sources' aligned shards. */
  readonly sources: readonly NamedFolder[];
  /** Of the served models those that are asked at once what they say in a place. */
  readonly asked: readonly string[];
}

export interface RunView {
  readonly reference: RunReference;
  /** Of the pivot. */
  readonly tokens: TokenTable;
  /** Indices of the conversations that have rows, ascending. */
  readonly conversations: Int32Array;
  read(index: number): Promise<Conversation>;
  /** Throws 404 for one that has none. */
  stored(index: number): Promise<StoredConversation>;
  close(): Promise<void>;
}

export async function openRunView(reference: RunReference): Promise<RunView> {
  const rows = await openStoredRows(reference.pivot, reference.sources);
  const tokens = createTokenTable(await readTokenTableParts(reference.tokenizer));
  const file = await openConversationFile(reference.data);
  const last = rows.conversations.at(-1) ?? -1;
  if (last >= file.count) {
    await file.close();
    throw inputError(
      reference.data,
      `expected conversation ${last}, which has rows, found ${file.count} conversations`,
    );
  }
  return {
    reference,
    tokens,
    conversations: rows.conversations,
    read: (index) => file.read(index),
    stored: async (index) => {
      const found = await rows.conversation(index);
      if (found !== null) return found;
      throw new ApiError(404, `the run has no rows of conversation ${index}`, "no_rows", "conversation");
    },
    close: () => file.close(),
  };
}

/**
 * What a model says now in rows of a conversation, the `count` most probable tokens of each; `row` null asks for all of them. Throws 400
 * where it reads the conversation as other tokens than the pivot did.
 */
export async function rowsNow(
  { engine, tokeniser, name }: ServedModel,
  conversation: Conversation,
  { pivot: { shard, place, first, rows } }: StoredConversation,
  row: number | null,
  count: number,
): Promise<RankedRows> {
  if (engine.rankedRows === undefined) throw internalError("a model is served whose engine does not rank labels");
  const hash = shard.conversationSha256.subarray(place * SHA256_BYTES, (place + 1) * SHA256_BYTES);
  if (Buffer.from(hash).toString("hex") !== conversation.id) {
    throw inputError(
      `conversation ${conversation.id.slice(0, 12)}`,
      "is not the one that rows were stored of; the run's data were changed",
    );
  }
  // As many turns as the pivot read: the last one that has rows is the last one that it was given.
  const turns = rows === 0 ? conversation.turns.length : shard.turn[first + rows - 1]! + 1;
  const [found] = await tokeniser.tokenise([upTo(conversation, turns)], 0);
  const refused = found === undefined || "refused" in found;
  const ids = refused ? new Int32Array() : found.ids.subarray(0, shard.metadata.maxLength);
  const own = shard.idsSha256.subarray(place * SHA256_BYTES, (place + 1) * SHA256_BYTES);
  if (refused || !idsSha256(ids).equals(own)) {
    throw new ApiError(
      400,
      `${name} reads this conversation as other tokens than the pivot did; ask a model with the pivot's tokenizer and template`,
      "other_tokens",
      "model",
    );
  }
  const all = found.rows.position.filter((position) => position < ids.length);
  const wanted = row === null ? all : all.subarray(row, row + 1);
  const needed = ids.slice(0, (wanted.at(-1) ?? 0) + 1);
  return engine.rankedRows([{ ids: needed, positions: wanted }], Math.min(count, engine.vocabulary));
}
