/**
 * A recipe's conversations, split before anything else: what models are trained on, and what they are judged by. The
 * split goes by the hash of each conversation's id, or by a file of held-out conversations.
 */
import type { Conversation } from "../data/conversation.ts";
import { type IrregularRule, type LeftOut, LeftOutCounts } from "../data/irregular.ts";
import { type ReadConversations, readConversations } from "../data/read.ts";
import { splitHeldOut } from "../data/split.ts";
import { inputError } from "../errors.ts";
import { readsHeldOut } from "./evaluation.ts";
import type { Recipe } from "./recipe.ts";

export interface PreparedConversations {
  readonly train: readonly Conversation[];
  readonly heldOut: readonly Conversation[];
  /** Conversations left out of training because they stand in `held_out_path` too. */
  readonly overlapping: number;
  /** Records that cannot be used, of all files, by reason; empty where the recipe refuses them. */
  readonly leftOut: readonly LeftOut[];
}

/** Reads and splits the data of a recipe whose paths are found; refuses a split that leaves a side empty. */
export async function prepareConversations({ data, evaluate }: Recipe): Promise<PreparedConversations> {
  const { conversations: all, leftOut } = await readAll(data.path, data.irregular);
  if (data.held_out_path !== null) {
    const { conversations: heldOut, leftOut: leftOutToo } = await readAll(data.held_out_path, data.irregular);
    const ids = new Set(heldOut.map(({ id }) => id));
    const train = all.filter(({ id }) => !ids.has(id));
    if (train.length === 0) {
      throw inputError("data", "every conversation of path stands in held_out_path too; nothing is left to train on");
    }
    return { train, heldOut, overlapping: all.length - train.length, leftOut: merged([leftOut, leftOutToo]) };
  }
  const { train, heldOut } = splitHeldOut(all, data.held_out);
  const found = `found ${all.length} ${all.length === 1 ? "conversation" : "conversations"}`;
  if (train.length === 0) {
    throw inputError("data", `held_out ${data.held_out} leaves none to train on, ${found}; lower it or give more data`);
  }
  if (heldOut.length === 0 && evaluate.benchmarks.some(readsHeldOut)) {
    throw inputError(
      "data",
      `held_out ${data.held_out} chooses none to evaluate on, ${found}; raise it, give held_out_path, or set evaluate: []`,
    );
  }
  return { train, heldOut, overlapping: 0, leftOut };
}

async function readAll(paths: readonly string[], irregular: IrregularRule): Promise<ReadConversations> {
  const conversations: Conversation[] = [];
  const leftOut: (readonly LeftOut[])[] = [];
  for (const path of paths) {
    const read = await readConversations(path, irregular);
    for (const one of read.conversations) conversations.push(one);
    leftOut.push(read.leftOut);
  }
  return { conversations, leftOut: merged(leftOut) };
}

function merged(lists: readonly (readonly LeftOut[])[]): readonly LeftOut[] {
  const counts = new LeftOutCounts();
  for (const list of lists) counts.addAll(list);
  return counts.list();
}
