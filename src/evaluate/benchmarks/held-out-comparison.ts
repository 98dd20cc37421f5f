/**
 * The measures of a held-out result, and two results compared conversation by conversation. Both work on the result
 * document, so any two models that were evaluated on the same data can be compared from their files.
 */

import { z } from "zod";
import { inputError } from "../../errors.ts";
import type { Term } from "../../statistics/interval.ts";
import { pairedRatioDifference } from "../../statistics/paired.ts";
import { emptyTable } from "../../table.ts";
import type { Comparison, Difference } from "./benchmark.ts";
import type { HeldOutConversation, HeldOutResult } from "./held-out-result.ts";

export const UNIT = "nats/byte";
/** One for all measures: those of the same conversations resample the same ones. */
export const SEED = "held-out";

/** A ratio of sums over conversations: what one of them adds, or null where the measure does not concern it. */
export interface Measure {
  readonly name: string;
  term(conversation: HeldOutConversation): Term | null;
}

/**
 * In the order of the document: `nats_per_byte`, the same for every skill in order of appearance, then `above_floor`,
 * (nats - floor) / bytes, and its skills. A conversation of which nothing was read has no part in any.
 */
export function heldOutMeasures(read: readonly HeldOutConversation[]): Measure[] {
  const skills = [...new Set(read.map(({ skill }) => skill))].filter((skill) => skill !== undefined);
  const quantities: [string, (conversation: HeldOutConversation) => number | null][] = [
    ["nats_per_byte", ({ nats }) => nats],
    ["above_floor", ({ nats, floor_nats }) => (floor_nats === undefined ? null : nats - floor_nats)],
  ];
  return quantities.flatMap(([quantity, numerator]) =>
    [undefined, ...skills].map((skill) => ({
      name: skill === undefined ? quantity : `${quantity}/${skill}`,
      term: (conversation) => {
        if (conversation.bytes === 0 || (skill !== undefined && conversation.skill !== skill)) return null;
        const value = numerator(conversation);
        return value === null ? null : { numerator: value, denominator: conversation.bytes };
      },
    })),
  );
}

export const comparedHeldOut: z.ZodType = z.looseObject({
  per_conversation: z.array(
    z.looseObject({
      id: z.string(),
      nats: z.number(),
      bytes: z.number().nonnegative(),
      skill: z.string().optional(),
      floor_nats: z.number().optional(),
    }),
  ),
});

/** `a` minus `b`, measure by measure, over the conversations that both could read. Less is better. */
export function compareHeldOut(a: HeldOutResult, b: HeldOutResult): Comparison {
  const partners = byOccurrence(b.per_conversation);
  const common: { ours: HeldOutConversation; theirs: HeldOutConversation }[] = [];
  for (const [key, ours] of byOccurrence(a.per_conversation)) {
    const theirs = partners.get(key);
    if (theirs !== undefined) common.push({ ours, theirs });
  }
  if (common.length === 0) {
    throw inputError("held-out", `${a.model} and ${b.model} have no conversation in common; nothing to compare`);
  }
  const metrics: Record<string, Difference> = emptyTable();
  for (const { name, term } of heldOutMeasures(common.map(({ ours }) => ours))) {
    const first: Term[] = [];
    const second: Term[] = [];
    for (const { ours, theirs } of common) {
      const [ourTerm, theirTerm] = [term(ours), term(theirs)];
      if (ourTerm === null || theirTerm === null) continue;
      first.push(ourTerm);
      second.push(theirTerm);
    }
    if (first.length === 0) continue;
    const difference = pairedRatioDifference(first, second, SEED);
    metrics[name] = { ...difference, unit: UNIT, prompts: first.length };
  }
  return { model: a.model, against: b.model, prompts: common.length, metrics };
}

/** By id and, because a data set may hold a conversation twice, by how often that id has come before. */
function byOccurrence(read: readonly HeldOutConversation[]): Map<string, HeldOutConversation> {
  const seen = new Map<string, number>();
  const found = new Map<string, HeldOutConversation>();
  for (const conversation of read) {
    const before = seen.get(conversation.id) ?? 0;
    seen.set(conversation.id, before + 1);
    found.set(`${conversation.id}/${before}`, conversation);
  }
  return found;
}
