/**
 * What the process does in which foreign templates run. Every call brings the template along, so that a process
 * that was started anew after another template had ended it needs to be told nothing; compiled templates are kept.
 */
import {
  type CompiledTemplate,
  compileTemplate,
  type TemplateContext,
  TemplateRefusal,
  Unsupported,
} from "../jinja/compile.ts";

export interface RenderRequest {
  readonly source: string;
  /** The day that the template takes for today, `YYYY-MM-DD`. */
  readonly date: string;
  /** Longest rendering, UTF-16 units. */
  readonly longest: number;
  readonly contexts: readonly TemplateContext[];
}

/** One answer a rendering: the text, the template's refusal, or what failed inside it. */
export type Rendered = { readonly text: string } | { readonly refused: string } | Failed;

/** Unsupported: Python has what the template asks for, and this program has not. */
export interface Failed {
  readonly failed: string;
  readonly isUnsupported?: true;
}

export interface TemplateWork {
  /** One answer a context, in order. */
  render(request: RenderRequest): Promise<readonly Rendered[]>;
}

/** Programs use one or two at a time. */
const KEPT_TEMPLATES = 8;

export function createTemplateWork(): TemplateWork {
  const compiled = new Map<string, CompiledTemplate | Failed>();
  const compile = (source: string, date: string): CompiledTemplate | Failed => {
    const key = `${date} ${source}`;
    const known = compiled.get(key);
    if (known !== undefined) return known;
    let made: CompiledTemplate | Failed;
    try {
      made = compileTemplate(source, date);
    } catch (error) {
      made = failedBy(error);
    }
    for (const [oldest] of compiled) {
      if (compiled.size < KEPT_TEMPLATES) break;
      compiled.delete(oldest);
    }
    compiled.set(key, made);
    return made;
  };
  return {
    render: async ({ source, date, longest, contexts }) => {
      const template = compile(source, date);
      return contexts.map((context) => ("failed" in template ? template : render(template, context, longest)));
    },
  };
}

function render(template: CompiledTemplate, context: TemplateContext, longest: number): Rendered {
  try {
    const text = template(context);
    if (text.length > longest) return { failed: `its output is longer than ${longest} characters` };
    return { text };
  } catch (error) {
    if (error instanceof TemplateRefusal) return { refused: error.message };
    return failedBy(error);
  }
}

function failedBy(error: unknown): Failed {
  if (!(error instanceof Error)) return { failed: "it threw what is no error" };
  return { failed: error.message, ...(error instanceof Unsupported && { isUnsupported: true }) };
}
