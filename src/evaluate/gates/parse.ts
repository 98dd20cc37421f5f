/** Gates from their texts: a comparison, and perhaps what its paired test must give; every mistake is told with its text. */
import { suggestion } from "../../errors.ts";
import {
  type FigureTerm,
  type Gate,
  type GateProblem,
  type GateTerm,
  type GateVocabulary,
  plainName,
  type Relation,
} from "./gate.ts";

const EXAMPLE = "such as fused.held_out < pivot.held_out, p < 0.01";
const COMPARISON = /^(.+?)(<=|>=|<|>)(.+)$/s;

/** All gates, or what is wrong with them. A text that speaks of `p` alone belongs to the gate before it. */
export function parseGates(
  texts: readonly string[],
  vocabulary: GateVocabulary,
): { readonly gates: readonly Gate[]; readonly problems: readonly GateProblem[] } {
  const gates: Gate[] = [];
  const problems: GateProblem[] = [];
  for (const [index, text] of texts.entries()) {
    try {
      const condition = parseP(text);
      if (condition === null) gates.push(parseGate(text, vocabulary));
      else {
        const before = gates.at(-1);
        if (before === undefined || before.p !== null) {
          throw new GateError(`p speaks of the comparison before it, and there is none; write one, ${EXAMPLE}`);
        }
        gates[gates.length - 1] = withP({ ...before, text: `${before.text}, ${text.trim()}` }, condition);
      }
    } catch (error) {
      if (!(error instanceof GateError)) throw error;
      problems.push({ index, message: error.message });
    }
  }
  return { gates, problems };
}

/** What is wrong with one gate; never leaves this file. */
class GateError extends Error {}

function parseGate(text: string, vocabulary: GateVocabulary): Gate {
  const [first, second, ...rest] = text.split(",");
  const comparison = parseComparison(first!, vocabulary);
  const gate: Gate = { text: text.trim(), ...comparison, p: null };
  if (second === undefined) return gate;
  const condition = parseP(second);
  if (condition === null || rest.length > 0) {
    throw new GateError(
      `expected nothing or "p < 0.01" after the comma, found ${quote(text.slice(first!.length + 1))}`,
    );
  }
  return withP(gate, condition);
}

function withP(gate: Gate, p: NonNullable<Gate["p"]>): Gate {
  const { left, right } = gate;
  if (left.kind === "number" || right.kind === "number") {
    throw new GateError("p needs two models that are compared; a number has no p");
  }
  if (left.evaluation !== right.evaluation || left.metric !== right.metric || left.model === right.model) {
    throw new GateError("p needs two models that are compared by the same metric of the same benchmark");
  }
  if (left.offset !== 0 || right.offset !== 0) {
    throw new GateError("p tests whether the two models differ at all; it has no part in a comparison with + or -");
  }
  return { ...gate, p };
}

function parseComparison(text: string, vocabulary: GateVocabulary): Pick<Gate, "left" | "relation" | "right"> {
  const found = COMPARISON.exec(text);
  if (found === null || /[<>=]/.test(found[3]!)) {
    throw new GateError(`expected one comparison by <, <=, > or >=, ${EXAMPLE}, found ${quote(text)}`);
  }
  const [, left, relation, right] = found;
  const gate = {
    left: parseTerm(left!, vocabulary),
    relation: relation as Relation,
    right: parseTerm(right!, vocabulary),
  };
  if (gate.left.kind === "number" && gate.right.kind === "number") {
    throw new GateError(`two numbers say nothing of a model; write ${EXAMPLE.slice("such as ".length)}`);
  }
  return gate;
}

function parseP(text: string): Gate["p"] {
  const found = /^\s*p\s*(<=?|>=?|=+)\s*(\S*)\s*$/i.exec(text);
  if (found === null) return null;
  const value = numberOf(found[2]!);
  const relation = found[1]!;
  if ((relation !== "<" && relation !== "<=") || value === null || value <= 0 || value > 1) {
    throw new GateError(`expected p < x with x above 0 and at most 1, found ${quote(text)}`);
  }
  return { relation, value };
}

/** `1.5`, `fused.held_out`, `pivot.exact_match + 2`. */
function parseTerm(text: string, vocabulary: GateVocabulary): GateTerm {
  // Names may hold hyphens and plus signs; what is added stands apart.
  const [first = "", ...rest] = text.trim().split(/\s+/);
  const value = numberOf(first);
  let offset = 0;
  for (let at = 0; at < rest.length; at += 2) {
    const [sign, amount] = [rest[at]!, numberOf(rest[at + 1] ?? "")];
    if ((sign !== "+" && sign !== "-") || amount === null) {
      throw new GateError(
        `expected "+ number" or "- number" behind ${first}, found ${quote(rest.slice(at).join(" "))}`,
      );
    }
    offset += sign === "+" ? amount : -amount;
  }
  if (value !== null) return { kind: "number", value: value + offset };
  return { kind: "figure", ...parseFigure(first, vocabulary), offset };
}

function parseFigure(text: string, { models, evaluations }: GateVocabulary): Omit<FigureTerm, "kind" | "offset"> {
  const modelWords = models.map(({ word }) => word);
  const word = leadingName(text, modelWords);
  if (word === null) {
    const [name = ""] = text.split(".");
    if (!text.includes(".")) {
      throw new GateError(`expected model.benchmark or a number, ${EXAMPLE}, found ${quote(text)}`);
    }
    throw new GateError(
      `unknown model ${quote(name)}${suggestion(name, modelWords)} (there is: ${modelWords.join(", ")})`,
    );
  }
  const { model } = models.find((candidate) => candidate.word === word)!;
  const after = text.slice(word.length + 1);
  const names = evaluations.map(({ name }) => name);
  const name = leadingName(`${after}.`, names);
  if (name === null) {
    const [given = ""] = after.split(".");
    const known = names.length === 0 ? "the recipe evaluates nothing" : `there is: ${names.join(", ")}`;
    throw new GateError(`unknown benchmark ${quote(given)}${suggestion(plainName(given), names)} (${known})`);
  }
  const evaluation = evaluations.find((candidate) => candidate.name === name)!;
  if (!evaluation.models.includes(model)) {
    throw new GateError(`${name} does not evaluate ${model} (but ${evaluation.models.join(", ")})`);
  }
  const metric = after.slice(name.length + 1);
  if (metric === "") return { model, evaluation: name, metric: evaluation.metric };
  const [head = ""] = metric.split("/");
  const heads = evaluation.metrics;
  if (heads !== undefined && !heads.some((known) => plainName(known) === plainName(head))) {
    throw new GateError(
      `${name} has no metric ${quote(head)}${suggestion(head, heads)} (there is: ${heads.join(", ")})`,
    );
  }
  return { model, evaluation: name, metric };
}

/** The longest of the names that `text` begins with, followed by a dot: names may hold dots themselves. */
function leadingName(text: string, names: readonly string[]): string | null {
  const fitting = names.filter((name) => plainName(text).startsWith(`${plainName(name)}.`));
  return fitting.reduce<string | null>((best, name) => (name.length > (best?.length ?? 0) ? name : best), null);
}

function numberOf(text: string): number | null {
  return /^[+-]?(\d+(?:\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : null;
}

function quote(text: string): string {
  return JSON.stringify(text.trim());
}
