/**
 * Groups of conversations that are alike, for choices that lean on a model's record over such conversations instead of
 * on the one answer that is also the label (`level: group`). Labels make them where the data has any (a skill, a
 * category, a data set); else the prompts do. Groups form a tree: each is a part of a larger one, up to all of the data.
 */
import type { Conversation } from "../../data/conversation.ts";
import { bisectAll } from "./bisect.ts";
import { promptVectors } from "./prompt-vectors.ts";

export interface Groups {
  /** [G] the group that each is a part of, always one of a lower number; -1 of group 0, which is all of the data. */
  readonly parent: Int32Array;
  /** [N] the smallest group of each conversation. */
  readonly group: Int32Array;
  /** What they were made from. */
  readonly by: "labels" | "prompts";
}

/** Labels that stand on fewer conversations each, in the mean, are names of records rather than of groups. */
const LABELLED_CONVERSATIONS = 8;

/** What a conversation's record calls its kind. */
export function groupLabel({ skill, category }: Conversation): string | undefined {
  return skill ?? category;
}

export function groupsOf(conversations: readonly Conversation[]): Groups {
  return groupsByLabel(conversations) ?? groupsByPrompt(conversations);
}

/** A group a label, below all of the data, which those without a label belong to; null where labels say nothing. */
export function groupsByLabel(conversations: readonly Conversation[]): Groups | null {
  const numbers = new Map<string, number>();
  let labelled = 0;
  const group = Int32Array.from(conversations, (conversation) => {
    const label = groupLabel(conversation);
    if (label === undefined) return 0;
    labelled++;
    const number = numbers.get(label) ?? numbers.size + 1;
    numbers.set(label, number);
    return number;
  });
  if (numbers.size < 2 || 2 * labelled < conversations.length || labelled < LABELLED_CONVERSATIONS * numbers.size) {
    return null;
  }
  const parent = new Int32Array(numbers.size + 1);
  parent[0] = -1;
  return { parent, group, by: "labels" };
}

/** The data divided in two by the words of its prompts, and each half again. */
export function groupsByPrompt(conversations: readonly Conversation[]): Groups {
  return { ...bisectAll(promptVectors(conversations)), by: "prompts" };
}
