/** What an experiment has found: every model's distance above the floor, every claim's effect and verdict, and the curves. */
import type { Conversation } from "../../data/conversation.ts";
import { internalError } from "../../errors.ts";
import { crossedDifference } from "../../statistics/crossed.ts";
import type { PairedDifference } from "../../statistics/interval.ts";
import { mean } from "../../statistics/moments.ts";
import { type Verdict, verdicts } from "../../statistics/verdict.ts";
import { RECOMMENDED } from "./arms.ts";
import type { Claim } from "./claims.ts";
import type { Measured } from "./make.ts";
import type { ExperimentSettings } from "./settings.ts";

export interface ModelFigures {
  readonly name: string;
  /** Above the floor, nats per byte: the mean over seeds, */
  readonly above_floor: number;
  /** of each seed, */
  readonly by_seed: readonly number[];
  /** and the mean over seeds by skill. */
  readonly by_skill: Readonly<Record<string, number>>;
}

export interface ClaimFinding extends PairedDifference {
  readonly claim: string;
  readonly arms: readonly string[];
  readonly than: readonly string[];
  readonly p_adjusted: number;
  readonly verdict: Verdict;
}

/** A model against the best of the given ones on one skill. */
export interface SkillFinding extends PairedDifference {
  readonly skill: string;
  /** The given model, the pivot among them, that is nearest to the floor there. */
  readonly best: string;
  readonly best_above_floor: number;
  readonly p_adjusted: number;
  readonly verdict: Verdict;
}

export interface ExperimentResult {
  readonly format: "fusechat-experiment-1";
  readonly settings: ExperimentSettings;
  readonly seeds: number;
  readonly pivot: string;
  readonly sources: readonly string[];
  readonly models: readonly ModelFigures[];
  readonly claims: readonly ClaimFinding[];
  /** The recommended way against the best given model of each skill. */
  readonly skills: readonly SkillFinding[];
  /**
   * Conversations that fine-tuning would need for the distance of the fused model of `settings.conversations`: by seed, null
   * beyond the largest of the curve.
   */
  readonly fine_tuning_needs: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface Findings {
  readonly settings: ExperimentSettings;
  readonly pivot: string;
  readonly sources: readonly string[];
  /** Of each seed, by the name of the arm. */
  readonly bySeed: readonly ReadonlyMap<string, Measured>[];
  readonly heldOut: readonly Conversation[];
  readonly claims: readonly Claim[];
}

export function findings({ settings, pivot, sources, bySeed, heldOut, claims }: Findings): ExperimentResult {
  const [first] = bySeed;
  const names = [...(first?.keys() ?? [])];
  const bytes = first?.get(pivot)?.bytes ?? [];
  const floor = heldOut.map(({ floorNats }) => floorNats ?? 0);
  const of = (name: string): readonly Measured[] =>
    bySeed.map((measured) => {
      const found = measured.get(name);
      if (found === undefined) throw internalError(`no model is called ${name}`);
      if (found.bytes.some((count, n) => count !== bytes[n])) throw internalError(`${name} has read other bytes`);
      return found;
    });
  const distance = ({ nats }: Measured, among?: (n: number) => boolean): number => {
    let [above, total] = [0, 0];
    for (const [n, cost] of nats.entries()) {
      if (among?.(n) === false) continue;
      above += cost - floor[n]!;
      total += bytes[n]!;
    }
    return above / total;
  };
  const skills = [...new Set(heldOut.map(({ skill }) => skill ?? ""))].sort();
  const models = names.map((name): ModelFigures => {
    const runs = of(name);
    const bySkill = skills.map((skill): [string, number] => [
      skill,
      mean(runs.map((run) => distance(run, (n) => (heldOut[n]!.skill ?? "") === skill))),
    ]);
    const distances = runs.map((run) => distance(run));
    return {
      name,
      above_floor: mean(distances),
      by_seed: distances,
      by_skill: Object.fromEntries(bySkill),
    };
  });
  /** [seeds, conversations]: the mean over the arms. */
  const costs = (arms: readonly string[]): number[][] => {
    const all = arms.map(of);
    return bySeed.map((_, seed) => bytes.map((__, n) => mean(all.map((runs) => runs[seed]!.nats[n]!))));
  };
  const bestOf = (skill: string): ModelFigures =>
    models
      .filter(({ name }) => name === pivot || sources.includes(name))
      .reduce((a, b) => (b.by_skill[skill]! < a.by_skill[skill]! ? b : a));
  const skillEffects = skills.map((skill): PairedDifference => {
    const its = heldOut.flatMap((conversation, n) => ((conversation.skill ?? "") === skill ? [n] : []));
    const among = (name: string): number[][] => costs([name]).map((all) => its.map((n) => all[n]!));
    const sizes = its.map((n) => bytes[n]!);
    return crossedDifference(among(RECOMMENDED), among(bestOf(skill).name), sizes, `lab experiment/${skill}`);
  });
  const skillVerdicts = verdicts(skillEffects, "less");
  const effects = claims.map(({ arms, than }) => crossedDifference(costs(arms), costs(than), bytes, "lab experiment"));
  const judged = verdicts(effects, "less");
  return {
    format: "fusechat-experiment-1",
    settings,
    seeds: bySeed.length,
    pivot,
    sources,
    models,
    claims: claims.map(({ text, arms, than }, n) => ({ claim: text, arms, than, ...effects[n]!, ...judged[n]! })),
    skills: skills.map((skill, n) => {
      const { name: best, by_skill: distances } = bestOf(skill);
      return { skill, best, best_above_floor: distances[skill]!, ...skillEffects[n]!, ...skillVerdicts[n]! };
    }),
    fine_tuning_needs: Object.fromEntries(
      ["fused", "fused-group", "together", "together-group"].map((name) => [name, needs(name, settings, models)]),
    ),
  };
}

/** By seed, where the line between the points of fine-tuning's curve (logarithmic in conversations) meets the distance. */
function needs(name: string, { conversations, curve }: ExperimentSettings, models: readonly ModelFigures[]) {
  const byName = new Map(models.map((model) => [model.name, model.by_seed]));
  const points = [...curve].sort((a, b) => a - b);
  return byName.get(name)!.map((wanted, seed): number | null => {
    const at = points.map((count) => byName.get(count === conversations ? "sft-0" : `sft-0 of ${count}`)![seed]!);
    for (let n = 1; n < points.length; n++) {
      if (at[n]! > wanted) continue;
      const share = at[n - 1]! <= wanted ? 0 : (at[n - 1]! - wanted) / (at[n - 1]! - at[n]!);
      return points[n - 1]! * (points[n]! / points[n - 1]!) ** share;
    }
    return null;
  });
}
