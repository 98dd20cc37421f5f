/**
 * The first match of a regular expression of the user's, its first group where it has one. A pattern such as (a+)+$
 * takes years on an unlucky answer, and answers are not ours: each search has a time limit, after which the evaluation
 * stops and says so. What is merely slow is never counted as wrong, or a figure would depend on the machine.
 */
import { createContext, Script } from "node:vm";
import { inputError } from "../../../errors.ts";
import { type Rule, ruleFor } from "./rule.ts";

/** A sound pattern needs a millisecond for the longest answer that is searched. */
const LIMIT_MILLISECONDS = 2000;
const LONGEST_ANSWER = 100_000;

/** A `vm` script alone can be stopped in the middle of a match. */
const SEARCH = new Script("{ const found = pattern.exec(text); found === null ? null : (found[1] ?? found[0]) }");

export function regexRule(pattern: string | undefined): Rule {
  if (pattern === undefined || pattern === "") {
    throw inputError("exact-match", "the rule regex needs a pattern; add --pattern, whose first group is the answer");
  }
  const compiled = compile(pattern);
  const globals = createContext({ pattern: compiled, text: "" });
  return ruleFor("regex", `the first match of ${compiled}`, (answer) => {
    globals.text = answer.slice(0, LONGEST_ANSWER);
    try {
      const found: unknown = SEARCH.runInContext(globals, { timeout: LIMIT_MILLISECONDS });
      return typeof found === "string" ? found.trim() : null;
    } catch (error) {
      throw inputError(
        "exact-match",
        `the pattern ${compiled} ran longer than ${LIMIT_MILLISECONDS / 1000} s on an answer of ${answer.length} characters; write it without nested repetitions`,
        error,
      );
    }
  });
}

function compile(pattern: string): RegExp {
  try {
    return new RegExp(pattern, "u");
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^.*: /, "") : String(error);
    throw inputError(
      "exact-match",
      `the pattern ${JSON.stringify(pattern)} is no regular expression (${reason})`,
      error,
    );
  }
}
