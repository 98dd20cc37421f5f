/** The totals of a collection, shard by shard: what `manifest.json` lists and what the user is told. */
import { basename } from "node:path";
import type { RefusedConversation, TokenisedConversation } from "../data/conversation.ts";
import type { DistributionsShard } from "./shard.ts";

export interface ShardFigures {
  readonly file: string;
  readonly conversations: number;
  readonly rows: number;
}

export interface DistributionsSummary {
  readonly out: string;
  readonly model: string;
  readonly shards: readonly ShardFigures[];
  /** Shards that an earlier run had finished. */
  readonly kept_shards: number;
  readonly conversations: number;
  /** Indices of the conversations that the model's template refuses. */
  readonly refused: readonly number[];
  readonly rows: number;
  readonly bytes: number;
  readonly nats_per_byte: number;
  /** Answers without an end-of-turn row: cut, or not closed by the template. */
  readonly without_end_of_turn: number;
  /** Answers of which the template leaves something out. */
  readonly left_out_in: number;
}

export interface Tally {
  /** A shard of the conversations `first .. first+count-1`; those it lacks were refused. `kept`: by an earlier run. */
  add(path: string, shard: DistributionsShard, first: number, count: number, kept: boolean): void;
  /** A conversation refused in this run, with the reason, which shards do not hold. */
  refuse(conversation: RefusedConversation): void;
  /** A conversation read in this run. */
  accept(conversation: TokenisedConversation): void;
  /** A sentence for each reason, and for answers that nothing ends. */
  warnings(): string[];
  summary(out: string, model: string): DistributionsSummary;
}

export function createTally(): Tally {
  const shards: ShardFigures[] = [];
  const refused: number[] = [];
  const reasons = new Map<string, { count: number; readonly first: number }>();
  let keptShards = 0;
  let bytes = 0;
  let nats = 0;
  let withoutEnd = 0;
  let leftOutIn = 0;
  let unclosed = 0;
  return {
    add: (path, shard, first, count, kept) => {
      shards.push({ file: basename(path), conversations: shard.conversation.length, rows: shard.token.length });
      if (kept) keptShards++;
      const present = new Set(shard.conversation);
      for (let index = first; index < first + count; index++) if (!present.has(index)) refused.push(index);
      for (const value of shard.bytes) bytes += value;
      for (const logp of shard.labelLogp) nats -= logp;
      const answers = answersOf(shard);
      withoutEnd += answers.withoutEnd;
      leftOutIn += answers.leftOutIn;
    },
    refuse: ({ conversation, refused: reason }) => {
      const known = reasons.get(reason);
      if (known === undefined) reasons.set(reason, { count: 1, first: conversation });
      else known.count++;
    },
    accept: (conversation) => {
      unclosed += conversation.unclosed;
    },
    warnings: () => [
      ...Array.from(
        reasons,
        ([reason, { count, first }]) =>
          `${count} ${count === 1 ? "conversation" : "conversations"} left out (the first: ${first}): ${reason}`,
      ),
      ...(unclosed > 0
        ? [
            `the template closes ${unclosed} ${unclosed === 1 ? "answer" : "answers"} with no token of its own: they have no end-of-turn row, and nothing teaches a model to end there`,
          ]
        : []),
    ],
    summary: (out, model) => ({
      out,
      model,
      shards,
      kept_shards: keptShards,
      conversations: shards.reduce((sum, shard) => sum + shard.conversations, 0),
      refused,
      rows: shards.reduce((sum, shard) => sum + shard.rows, 0),
      bytes,
      nats_per_byte: nats / bytes,
      without_end_of_turn: withoutEnd,
      left_out_in: leftOutIn,
    }),
  };
}

/** How many answers of a shard have no end-of-turn row, and from how many something is left out. */
function answersOf({ conversation, rowStart, turn, endOfTurn, leftOutRow, leftOut }: DistributionsShard): {
  withoutEnd: number;
  leftOutIn: number;
} {
  let answers = 0;
  let shortened = 0;
  let entry = 0;
  for (let n = 0; n < conversation.length; n++) {
    let counted = -1;
    for (let row = rowStart[n]!; row < rowStart[n + 1]!; row++) {
      if (row === rowStart[n] || turn[row] !== turn[row - 1]) answers++;
      if (leftOutRow[entry] !== row) continue;
      if (leftOut[entry] !== 0n && counted !== turn[row]) {
        shortened++;
        counted = turn[row]!;
      }
      entry++;
    }
  }
  return { withoutEnd: answers - endOfTurn.length, leftOutIn: shortened };
}
