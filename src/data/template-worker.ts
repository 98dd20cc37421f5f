/**
 * The worker thread in which a foreign template runs: rendering is synchronous and a template may loop for long, so a
 * template that never ends can only be stopped from outside, by ending its thread.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type CompiledTemplate, compileTemplate, type TemplateContext, TemplateRefusal } from "../jinja/compile.ts";

/** What the thread is started with. */
export interface TemplateWorkerData {
  readonly source: string;
  /** The day that the template takes for today, `YYYY-MM-DD`. */
  readonly date: string;
  /** Longest rendering, UTF-16 units. */
  readonly longest: number;
}

/** One answer a rendering: the text, the template's refusal, or what failed inside it. */
export type Rendered = { readonly text: string } | { readonly refused: string } | { readonly failed: string };

export interface RenderRequest {
  readonly id: number;
  readonly contexts: readonly TemplateContext[];
}

export interface RenderAnswer {
  readonly id: number;
  readonly rendered: readonly Rendered[];
}

function render(template: CompiledTemplate, context: TemplateContext, longest: number): Rendered {
  try {
    const text = template(context);
    if (text.length > longest) return { failed: `its output is longer than ${longest} characters` };
    return { text };
  } catch (error) {
    if (error instanceof TemplateRefusal) return { refused: error.message };
    return { failed: error instanceof Error ? error.message : String(error) };
  }
}

function serve(port: NonNullable<typeof parentPort>, { source, date, longest }: TemplateWorkerData): void {
  let template: CompiledTemplate | undefined;
  let broken = "";
  try {
    template = compileTemplate(source, date);
  } catch (error) {
    broken = error instanceof Error ? error.message : String(error);
  }
  port.on("message", ({ id, contexts }: RenderRequest) => {
    const rendered = contexts.map((context) =>
      template === undefined ? { failed: broken } : render(template, context, longest),
    );
    port.postMessage({ id, rendered } satisfies RenderAnswer);
  });
}

if (parentPort !== null) serve(parentPort, workerData as TemplateWorkerData);
