/**
 * Several models as one: each answers, and one of the answers is chosen. The papers compare with ensembles by
 * perplexity and by a judge's choice (FuseChat, "Top1-PPL" and "Top1-GPT4").
 */
import type { Answer, Dialogue, Subject } from "./subject.ts";

/** Different answers to one dialogue, in the members' order; none of them empty or refused, two at least. */
export interface Candidates {
  readonly dialogue: Dialogue;
  readonly answers: readonly Answer[];
}

/** How an ensemble chooses. */
export interface Choice {
  /** What its choices depend on. */
  readonly identity: string;
  /** For each dialogue the index of one of its answers. */
  choose(candidates: readonly Candidates[], seed: string, signal: AbortSignal | undefined): Promise<number[]>;
  dispose(): Promise<void>;
}

/** Owns its members and its choice. */
export function openEnsemble(name: string, members: readonly Subject[], choice: Choice): Subject {
  return {
    name,
    identity: `ensemble ${JSON.stringify([choice.identity, ...members.map(({ identity }) => identity)])}`,
    answer: async (dialogues, settings, signal, onAnswer) => {
      const given: Answer[][] = [];
      for (const member of members) {
        given.push(await member.answer(dialogues, settings, signal));
        await member.putAway?.();
      }
      const answers: (Answer | undefined)[] = [];
      const open: { readonly index: number; readonly candidates: Candidates }[] = [];
      for (const [index, dialogue] of dialogues.entries()) {
        const all = given.map((byMember) => byMember[index]!);
        const different = all.filter(
          ({ text }, member) => text !== "" && all.findIndex((other) => other.text === text) === member,
        );
        // Where all say the same, or nobody says anything, there is nothing to choose.
        if (different.length < 2) answers[index] = different[0] ?? all[0]!;
        else open.push({ index, candidates: { dialogue, answers: different } });
      }
      const chosen = await choice.choose(
        open.map(({ candidates }) => candidates),
        settings.seed,
        signal,
      );
      for (const [place, { index, candidates }] of open.entries()) answers[index] = candidates.answers[chosen[place]!]!;
      for (const [index, answer] of answers.entries()) await onAnswer?.(index, answer!);
      return answers.map((answer) => answer!);
    },
    putAway: async () => {
      for (const member of members) await member.putAway?.();
    },
    dispose: async () => {
      await choice.dispose();
      for (const member of members) await member.dispose();
    },
  };
}
