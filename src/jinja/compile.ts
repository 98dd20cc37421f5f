/**
 * Chat templates as transformers renders them: Jinja in its sandbox, with the methods and the printing of Python's own
 * values. The language is small and templates differ by a character where it is only nearly right, so it is read and run
 * here, a subject a file. What Python would fail at is a refusal of the conversation; what Python can and
 * this program cannot is an error by name.
 */
import { toValue } from "./context.ts";
import { Execution } from "./execute.ts";
import { findHiddenNames } from "./frames.ts";
import { globalsAt } from "./globals.ts";
import { parse } from "./parser.ts";
import { Scope } from "./scope.ts";
import type { Value } from "./values.ts";

export { stripPython } from "./spaces.ts";
export { TemplateRefusal, Unsupported } from "./values.ts";

export type TemplateContext = Readonly<Record<string, unknown>>;

/** Renders the template in a context; throws `TemplateRefusal`, or another error where the template itself fails. */
export type CompiledTemplate = (context: TemplateContext) => string;

/** Parses once; `date` (YYYY-MM-DD) is the day that `strftime_now` tells. Throws where the template's syntax is wrong. */
export function compileTemplate(source: string, date: string): CompiledTemplate {
  const statements = parse(source);
  const hidden = findHiddenNames(statements);
  return (context) => {
    const names = new Map<string, Value>(globalsAt(date));
    for (const [name, value] of Object.entries(context)) if (value !== undefined) names.set(name, toValue(value));
    return new Execution(hidden).render(statements, new Scope(names));
  };
}
