/**
 * A recipe's conversations, split before anything else: what models are trained on, and what they are judged by. The
 * split goes by the hash of each conversation's id, or by a file of held-out conversations.
 */
import type { Conversation } from "../data/conversation.ts";
import { type IrregularRule, type LeftOut, LeftOutCounts } from "../data/irregular.ts";
import { type ReadConversations, readConversations, readQuestions } from "../data/read.ts";
import { splitHeldOut } from "../data/split.ts";
import { inputError } from "../errors.ts";
import { plannedConversations } from "./answers.ts";
import { readsHeldOut } from "./evaluation.ts";
import type { Recipe } from "./recipe.ts";

export interface PreparedConversations {
  /** What the recipe's models will answer, for `train` to be made of; null where answers are given. */
  readonly prompts: readonly Conversation[] | null;
  readonly train: readonly Conversation[];
  readonly heldOut: readonly Conversation[];
  /** Conversations left out of training because they stand in `held_out_path` too. */
  readonly overlapping: number;
  /** Records that cannot be used, of all files, by reason; empty where the recipe refuses them. */
  readonly leftOut: readonly LeftOut[];
}

/**
 * Reads and splits the data of a recipe whose paths are found; refuses a split that leaves a side empty. Where models are to
 * answer, `train` is what that may come to.
 */
export async function prepareConversations(recipe: Recipe): Promise<PreparedConversations> {
  const split = await splitConversations(recipe);
  if (recipe.data.answers === null) return { ...split, prompts: null };
  const unanswered = split.heldOut.findIndex(({ turns }) => turns.at(-1)?.role !== "assistant");
  if (unanswered >= 0) {
    throw inputError(
      "data",
      `held-out conversation ${unanswered + 1} is a question without an answer, and models are judged by answers; give held_out_path`,
    );
  }
  return { ...split, prompts: split.train, train: plannedConversations(recipe, split.train) };
}

async function splitConversations({ data, evaluate }: Recipe): Promise<Omit<PreparedConversations, "prompts">> {
  const { conversations: all, leftOut } = await readAll(data.path, data.irregular, data.answers !== null);
  if (data.held_out_path !== null) {
    const { conversations: heldOut, leftOut: leftOutToo } = await readAll(data.held_out_path, data.irregular, false);
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

async function readAll(
  paths: readonly string[],
  irregular: IrregularRule,
  asQuestions: boolean,
): Promise<ReadConversations> {
  const readOne = asQuestions ? readQuestions : readConversations;
  const conversations: Conversation[] = [];
  const leftOut: (readonly LeftOut[])[] = [];
  for (const path of paths) {
    const read = await readOne(path, irregular);
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
