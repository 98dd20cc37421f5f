/** Gates against figures: met or not, and by which figures, in words that a failed run can end with. */
import { suggestion } from "../../errors.ts";
import type { Difference, Metric } from "../benchmarks/benchmark.ts";
import { type Gate, type GateTerm, plainName, type Relation } from "./gate.ts";

/** What gates are judged by. */
export interface GateFigures {
  /** All metrics of a model in an evaluation. */
  metrics(evaluation: string, model: string): Readonly<Record<string, Metric>>;
  /** `model - against` by the paired test; undefined where the two cannot be compared by this metric. */
  difference(evaluation: string, metric: string, model: string, against: string): Difference | undefined;
}

export interface GateOutcome {
  readonly gate: string;
  readonly met: boolean;
  /** For people: the figures that were compared, or why none could be. */
  readonly figures: string;
  /** null where there is no such figure. */
  readonly left: number | null;
  readonly right: number | null;
  readonly p: number | null;
}

/** A gate whose figures are missing, or are no numbers, is not met. */
export function judgeGate(gate: Gate, figures: GateFigures): GateOutcome {
  const { text, left, relation, right } = gate;
  const sides = [left, right].map((term) => sideOf(term, figures));
  const missing = sides.flatMap((side) => ("missing" in side ? [side.missing] : []));
  const [leftValue = null, rightValue = null] = sides.map((side) => ("value" in side ? side.value : null));
  if (leftValue === null || rightValue === null) {
    return { gate: text, met: false, figures: missing.join("; "), left: leftValue, right: rightValue, p: null };
  }
  const compared = `${short(leftValue)} ${relation} ${short(rightValue)}`;
  const holds = RELATIONS[relation](leftValue, rightValue);
  if (gate.p === null || left.kind === "number" || right.kind === "number") {
    return {
      gate: text,
      met: holds,
      figures: holds ? compared : `${compared} does not hold`,
      ...{ left: leftValue, right: rightValue, p: null },
    };
  }
  const metric = metricKey(figures.metrics(left.evaluation, left.model), left.metric)!;
  const p = figures.difference(left.evaluation, metric, left.model, right.model)?.p ?? null;
  const significant = p !== null && RELATIONS[gate.p.relation](p, gate.p.value);
  const test = p === null ? "the two cannot be paired" : `p ${short(p)} ${gate.p.relation} ${gate.p.value}`;
  return {
    gate: text,
    met: holds && significant,
    figures: [[compared, holds] as const, [test, significant] as const]
      .map(([part, good]) => (good || part === "the two cannot be paired" ? part : `${part} does not hold`))
      .join(", "),
    ...{ left: leftValue, right: rightValue, p },
  };
}

const RELATIONS: Readonly<Record<Relation, (a: number, b: number) => boolean>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

function sideOf(term: GateTerm, figures: GateFigures): { value: number } | { missing: string } {
  if (term.kind === "number") return { value: term.value };
  const metrics = figures.metrics(term.evaluation, term.model);
  const key = metricKey(metrics, term.metric);
  const value = key === undefined ? undefined : metrics[key]!.value;
  if (value !== undefined && Number.isFinite(value)) return { value: value + term.offset };
  const names = Object.keys(metrics);
  const known = `${suggestion(term.metric, names)} (there is: ${names.join(", ")})`;
  const missing = key === undefined ? `no figure ${JSON.stringify(term.metric)}${known}` : `no number as ${key}`;
  return { missing: `${term.model} has ${missing} in ${term.evaluation}` };
}

function metricKey(metrics: Readonly<Record<string, Metric>>, name: string): string | undefined {
  return Object.keys(metrics).find((key) => plainName(key) === plainName(name));
}

/** Five significant digits: more than the intervals allow, enough to see which is larger. */
function short(value: number): string {
  return String(Number(value.toPrecision(5)));
}
