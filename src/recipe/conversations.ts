/**
 * A recipe's conversations, split before anything else: what models are trained on, and what they are judged by. The
 * split goes by the hash of each conversation's id, or by a file of held-out conversations.
 */
import type { Conversation } from "../data/conversation.ts";
import { readConversations } from "../data/read.ts";
import { splitHeldOut } from "../data/split.ts";
import { inputError } from "../errors.ts";
import { readsHeldOut } from "./evaluation.ts";
import type { Recipe } from "./recipe.ts";

export interface PreparedConversations {
  readonly train: readonly Conversation[];
  readonly heldOut: readonly Conversation[];
  /** Conversations left out of training because they stand in `held_out_path` too. */
  readonly overlapping: number;
}

/** Reads and splits the data of a recipe whose paths are found; refuses a split that leaves a side empty. */
export async function prepareConversations({ data, evaluate }: Recipe): Promise<PreparedConversations> {
  const all = await readAll(data.path);
  if (data.held_out_path !== null) {
    const heldOut = await readAll(data.held_out_path);
    const ids = new Set(heldOut.map(({ id }) => id));
    const train = all.filter(({ id }) => !ids.has(id));
    if (train.length === 0) {
      throw inputError("data", "every conversation of path stands in held_out_path too; nothing is left to train on");
    }
    return { train, heldOut, overlapping: all.length - train.length };
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
  return { train, heldOut, overlapping: 0 };
}

async function readAll(paths: readonly string[]): Promise<Conversation[]> {
  const conversations: Conversation[] = [];
  for (const path of paths) for (const one of await readConversations(path)) conversations.push(one);
  return conversations;
}
