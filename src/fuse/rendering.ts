/**
 * The tokens to train on. Shards hold responses only, so the conversations are rendered and tokenised again with the
 * pivot's own template; every label and span must then be what the shards say, or they speak of something else.
 */
import type { TokenisedConversation } from "../data/conversation.ts";
import { settingsOf, type TemplateIdentity } from "../data/template-settings.ts";
import { openConversationTokeniser } from "../data/tokenise.ts";
import { SHA256_BYTES } from "../distributions/shard-file.ts";
import { idsSha256 } from "../distributions/teacher-pass.ts";
import { inputError, internalError } from "../errors.ts";
import type { FuseOptions } from "./options.ts";
import type { Pair } from "./pair.ts";
import type { WholeConversation } from "./pair-conversation.ts";

/** Conversations rendered at a time: enough to keep the tokenizer's threads busy, little enough for memory. */
const CHUNK = 256;

/** The tokens of a conversation. */
export interface ConversationTokens {
  readonly ids: Int32Array;
  /** Of the labels in `ids`, in the order of the rows. */
  readonly positions: Int32Array;
}

export interface Rendering {
  /** [vocabulary] 1 where the id has a token. */
  readonly hasToken: Uint8Array;
  readonly tokenizerSha256: string;
  /** The tokens of these conversations, which come after those that were rendered before, one by one and checked. */
  render(conversations: readonly WholeConversation[]): AsyncGenerator<ConversationTokens, void, void>;
  /** Throws where the data goes on with conversations that the shards should have. */
  finish(): Promise<void>;
  dispose(): Promise<void>;
}

/** Renders with the pivot's model folder. Throws where data, model and shards do not belong together. */
export async function openRendering(
  options: Pick<FuseOptions, "model" | "pivot" | "conversations">,
  { metadata }: Pick<Pair, "metadata">,
): Promise<Rendering> {
  const tokeniser = await openConversationTokeniser(options.model, {
    maxLength: metadata.maxLength,
    settings: settingsOf(metadata),
  });
  try {
    const { tokenizer, identity } = tokeniser;
    if (tokenizer.sha256 !== metadata.tokenizerSha256) {
      throw inputError(
        shardsOf(options),
        `was collected with another tokenizer (tokenizer.json ${short(metadata.tokenizerSha256)}) than that of ${options.model} (${short(tokenizer.sha256)})`,
      );
    }
    checkIdentity(options, metadata, identity);
    const hasToken = new Uint8Array(metadata.vocabulary);
    for (let id = 0; id < hasToken.length; id++) hasToken[id] = tokenizer.tokenText(id) === null ? 0 : 1;
    const total = options.conversations.length;
    let next = 0;
    /** Of the data up to `end`; what the shards lack must have no rows. */
    const upTo = async function* (
      end: number,
      wanted: ReadonlyMap<number, WholeConversation>,
    ): AsyncGenerator<ConversationTokens, void, void> {
      while (next < end) {
        const first = next;
        const chunk = options.conversations.slice(first, Math.min(end, first + CHUNK));
        next += chunk.length;
        for (const found of await tokeniser.tokenise(chunk, first)) {
          const expected = wanted.get(found.conversation);
          if ("refused" in found) {
            if (expected !== undefined) throw mismatch(options, found.conversation, `is refused now: ${found.refused}`);
            continue;
          }
          if (expected === undefined) {
            if (found.rows.position.length === 0) continue;
            throw mismatch(options, found.conversation, "is missing from the shards");
          }
          checkRows(options, expected, found);
          yield { ids: found.ids, positions: found.rows.position };
        }
      }
    };
    return {
      hasToken,
      tokenizerSha256: tokenizer.sha256,
      render: async function* (conversations) {
        const wanted = new Map(conversations.map((whole) => [whole.conversation, whole]));
        const end = (conversations.at(-1)?.conversation ?? -1) + 1;
        yield* upTo(Math.min(end, total), wanted);
        const beyond = conversations.find(({ conversation }) => conversation >= total);
        if (beyond !== undefined) {
          throw mismatch(options, beyond.conversation, `is not in the data, which has ${total}`);
        }
      },
      finish: async () => {
        for await (const { ids } of upTo(total, new Map())) throw internalError(`${ids.length} tokens too many`);
      },
      dispose: () => tokeniser.dispose(),
    };
  } catch (error) {
    await tokeniser.dispose();
    throw error;
  }
}

/** All of a conversation's rows must be those of the shard: count, labels and spans. */
function checkRows(
  options: Pick<FuseOptions, "model" | "pivot">,
  expected: WholeConversation,
  found: TokenisedConversation,
): void {
  const { shard, first, rows } = expected.pivot;
  const { position, turn, byteStart, byteEnd, lead } = found.rows;
  const { conversationSha256, idsSha256: idsThere } = shard;
  if (digest(conversationSha256, expected.pivot.place) !== found.id) {
    throw mismatch(options, found.conversation, "is another one in the shards");
  }
  if (position.length !== rows) {
    throw mismatch(
      options,
      found.conversation,
      `has ${rows} rows in the shards and ${position.length} as rendered now`,
    );
  }
  for (let r = 0; r < rows; r++) {
    const row = first + r;
    const token = found.ids[position[r]!]!;
    if (shard.token[row] !== token) {
      throw mismatch(
        options,
        found.conversation,
        `row ${r}: the shards have token ${shard.token[row]}, the rendering has ${token}`,
      );
    }
    if (
      shard.turn[row] !== turn[r] ||
      shard.byteStart[row] !== byteStart[r] ||
      shard.byteEnd[row] !== byteEnd[r] ||
      shard.lead[row] !== lead[r]
    ) {
      throw mismatch(
        options,
        found.conversation,
        `row ${r}: the shards have bytes ${shard.byteStart[row]}-${shard.byteEnd[row]} of turn ${shard.turn[row]}, ` +
          `the rendering has ${byteStart[r]}-${byteEnd[r]} of turn ${turn[r]}`,
      );
    }
  }
  if (digest(idsThere, expected.pivot.place) !== idsSha256(found.ids).toString("hex")) {
    throw mismatch(options, found.conversation, "was read after another prompt than the one rendered now");
  }
}

/** The template and its special tokens must be those of the model as it is now; its date and variables are taken over. */
function checkIdentity(
  options: Pick<FuseOptions, "model" | "pivot">,
  there: TemplateIdentity,
  here: TemplateIdentity,
): void {
  const names = { templateSha256: "another chat template", specialTokensSha256: "other special tokens" } as const;
  for (const key of ["templateSha256", "specialTokensSha256"] as const) {
    if (there[key] === here[key]) continue;
    throw inputError(
      shardsOf(options),
      `was collected with ${names[key]} (${short(there[key])}) than ${options.model} has now (${short(here[key])}); collect the distributions again`,
    );
  }
}

/** Without shards of a pivot the rows come from the model folder itself. */
function shardsOf({ model, pivot }: Pick<FuseOptions, "model" | "pivot">): string {
  return pivot ?? model;
}

function digest(hashes: Uint8Array, place: number): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset + place * SHA256_BYTES, SHA256_BYTES).toString("hex");
}

function mismatch(options: Pick<FuseOptions, "model" | "pivot">, conversation: number, problem: string): Error {
  return inputError(
    shardsOf(options),
    `conversation ${conversation} ${problem}; the shards come from another data set, or from another tokenizer or template than that of ${options.model}`,
  );
}

function short(hash: string): string {
  return hash.slice(0, 12);
}
