/** All rules, in the order of help: one file each, one line here. `regex` alone is made of a setting. */
import { inputError, suggestion } from "../../../errors.ts";
import { choice } from "./choice.ts";
import { json } from "./json.ts";
import { lastNumber, number } from "./number.ts";
import { regexRule } from "./regex.ts";
import type { Rule } from "./rule.ts";
import { text } from "./text.ts";

const RULES: readonly Rule[] = [number, lastNumber, choice, json, text];

export const RULE_NAMES: readonly string[] = [...RULES.map(({ name }) => name), "regex"];

/** The rule of this name; `pattern` belongs to `regex` and to no other. */
export function ruleOf(name: string, pattern: string | undefined): Rule {
  if (name === "regex") return regexRule(pattern);
  const found = RULES.find((rule) => rule.name === name);
  if (found === undefined) {
    const hint = suggestion(name, RULE_NAMES);
    throw inputError("exact-match", `unknown rule "${name}"${hint} (there is: ${RULE_NAMES.join(", ")})`);
  }
  if (pattern !== undefined) throw inputError("exact-match", `a pattern belongs to the rule regex, not to ${name}`);
  return found;
}
