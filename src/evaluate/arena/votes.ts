/**
 * Votes of blind comparisons, in the two forms of FastChat: what its server writes as people vote (`type`, `models` and
 * `states`; `serve/gradio_block_arena_anony.py`), which `fusechat serve` writes too, and the battle files that were
 * published (`model_a`, `model_b`, `winner`). In any container that conversations may have.
 *
 * `models` of the server's lines is what stood above the answers (`serve/monitor/clean_battle_data.py`): nothing, or "Model
 * A", where the vote was blind, and the names are in `states` then. Lines without `states` have the names in `models`.
 */

import { z } from "zod";
import { openRecords } from "../../data/containers/index.ts";
import { inputError } from "../../errors.ts";
import { type Table, tableOf } from "../../table.ts";

/** Who won: the first model, the second, or neither, both being good or both bad. */
export type Outcome = "left" | "right" | "tie" | "both bad";

export interface Vote {
  readonly models: readonly [string, string];
  readonly outcome: Outcome;
}

export interface Votes {
  readonly votes: readonly Vote[];
  /** Votes of people who saw the names. They count in nothing. */
  readonly named: number;
  /** Lines of the server's that are no votes, such as loads of the page, or votes on one model. */
  readonly others: number;
}

const VOTE_TYPES: Table<Outcome> = tableOf({
  leftvote: "left",
  rightvote: "right",
  tievote: "tie",
  bothbad_vote: "both bad",
});

const WINNERS: Table<Outcome> = tableOf({
  model_a: "left",
  model_b: "right",
  tie: "tie",
  "tie (bothbad)": "both bad",
});

const name = z.string().min(1);
const shown = z.string().nullable();
const state = z.looseObject({ model_name: z.string().nullish() });
const served = z.looseObject({
  type: z.enum(Object.keys(VOTE_TYPES)),
  models: z.tuple([shown, shown]),
  states: z.tuple([state, state]).nullish(),
});
const battle = z.looseObject({
  model_a: name,
  model_b: name,
  winner: z.enum(Object.keys(WINNERS)),
  anony: z.boolean().nullish(),
});
const otherEvent = z.looseObject({ type: z.string(), model_a: z.undefined().optional() });

/** Every vote of the files, in their order. Throws with the place of what is none. */
export async function readVotes(paths: readonly string[]): Promise<Votes> {
  const votes: Vote[] = [];
  let named = 0;
  let others = 0;
  for (const path of paths) {
    for await (const { file, records } of openRecords(path)) {
      for (const { place, record: found, problem } of records) {
        const where = `${file}${place}`;
        if (problem !== undefined) throw inputError(where, "expected a vote, found a line that cannot be read");
        const vote = voteOf(found);
        if (vote === "named") named++;
        else if (vote === "other event") others++;
        else if (vote === null) throw inputError(where, voteProblem(found));
        else if (vote.models[0] === vote.models[1]) {
          throw inputError(where, `expected a vote on two models, found ${JSON.stringify(vote.models[0])} twice`);
        } else votes.push(vote);
      }
    }
  }
  return { votes, named, others };
}

/** null for what is neither form. */
function voteOf(found: unknown): Vote | "named" | "other event" | null {
  const line = served.safeParse(found);
  if (line.success) return servedVote(line.data);
  const row = battle.safeParse(found);
  if (row.success) {
    const { model_a: left, model_b: right, winner, anony } = row.data;
    return anony === false ? "named" : { models: [left, right], outcome: WINNERS[winner]! };
  }
  const event = otherEvent.safeParse(found);
  return event.success && !(event.data.type in VOTE_TYPES) ? "other event" : null;
}

/** As FastChat's own tool reads its logs. */
function servedVote({ type, models, states }: z.infer<typeof served>): Vote | "named" | "other event" | null {
  const [left, right] = models;
  if (left === null || right === null || (left === "") !== (right === "")) return "other event";
  const isBlind = left === "" || (left === "Model A" && right === "Model B");
  if (!isBlind && states) return "named";
  const names = isBlind ? [states?.[0].model_name, states?.[1].model_name] : models;
  if (!names[0] || !names[1]) return null;
  return { models: [names[0], names[1]], outcome: VOTE_TYPES[type]! };
}

function voteProblem(found: unknown): string {
  const kinds = `${Object.keys(VOTE_TYPES).join(", ")} with the names in models or states, or model_a, model_b and winner (${Object.keys(WINNERS).join(", ")})`;
  const keys = typeof found === "object" && found !== null ? Object.keys(found).slice(0, 8).join(", ") : typeof found;
  return `expected a vote: a type of ${kinds}; found ${keys || "nothing"}`;
}
