/**
 * A chat template, given its context as transformers does it and rendered in a worker thread with a deadline and a
 * limit on output and memory, because a template is a program by somebody else.
 */
import { Worker } from "node:worker_threads";
import { inputError } from "../errors.ts";
import type { Turn } from "./conversation.ts";
import { messageOf, reasoningName } from "./messages.ts";
import { withReasoningInside } from "./original.ts";
import type { ChatTemplate } from "./template-files.ts";
import { DEFAULT_TEMPLATE_SETTINGS, type TemplateSettings } from "./template-settings.ts";
import type { RenderAnswer, Rendered, RenderRequest, TemplateWorkerData } from "./template-worker.ts";

export interface RenderJob {
  readonly turns: readonly Turn[];
  /** What the assistant is offered, if anything. */
  readonly tools?: readonly unknown[];
  readonly generationPrompt: boolean;
}

/** The text, or the reason why the template does not take the conversation. */
export type Rendering = { readonly text: string } | { readonly refused: string };

export interface TemplateRenderer {
  /** The template's file, for messages. */
  readonly path: string;
  /** One answer a job, in order. A template that fails or does not end is an error that names its file. */
  render(jobs: readonly RenderJob[]): Promise<Rendering[]>;
  dispose(): Promise<void>;
}

export interface TemplateLimits {
  /** Time for one message to the worker, that is for at most 64 renderings, which take about a millisecond each. */
  readonly deadlineMs: number;
  /** Longest rendering, UTF-16 units. */
  readonly longest: number;
  readonly memoryMb: number;
}

const LIMITS: TemplateLimits = { deadlineMs: 20_000, longest: 1 << 24, memoryMb: 512 };

/** Renderings a message: enough to make the message's own cost (some 0.05 ms) small. */
const JOBS_PER_MESSAGE = 64;

/** Starts the worker. Every renderer must end with `dispose`; it does not keep the process alive. */
export function openRenderer(
  template: ChatTemplate,
  settings: TemplateSettings = DEFAULT_TEMPLATE_SETTINGS,
  limits: Partial<TemplateLimits> = {},
): TemplateRenderer {
  const reasoning = reasoningName(template.source);
  const { deadlineMs, longest, memoryMb } = { ...LIMITS, ...limits };
  let worker: TemplateWorker | undefined;
  const renderBatch = async (jobs: readonly RenderJob[]): Promise<Rendering[]> => {
    worker ??= startWorker({ source: template.source, longest, date: settings.date }, memoryMb);
    const contexts = jobs.map(({ turns, tools, generationPrompt }) => ({
      ...template.specialTokens,
      ...settings.variables,
      messages: turns.map((turn) => messageOf(reasoning === undefined ? withReasoningInside(turn) : turn, reasoning)),
      // transformers passes these two as None; templates ask whether they are none, not whether they are defined.
      tools: tools ?? null,
      documents: null,
      add_generation_prompt: generationPrompt,
    }));
    let rendered: readonly Rendered[];
    try {
      rendered = await worker.ask(contexts, deadlineMs);
    } catch (error) {
      worker = undefined;
      throw inputError(
        template.path,
        `the chat template ${error instanceof Error ? error.message : String(error)}`,
        error,
      );
    }
    return rendered.map((answer) => {
      if ("failed" in answer) throw inputError(template.path, `the chat template fails: ${answer.failed}`);
      return answer;
    });
  };
  return {
    path: template.path,
    render: async (jobs) => {
      const renderings: Rendering[] = [];
      for (let first = 0; first < jobs.length; first += JOBS_PER_MESSAGE) {
        renderings.push(...(await renderBatch(jobs.slice(first, first + JOBS_PER_MESSAGE))));
      }
      return renderings;
    },
    dispose: async () => {
      await worker?.end();
      worker = undefined;
    },
  };
}

interface TemplateWorker {
  ask(contexts: RenderRequest["contexts"], deadlineMs: number): Promise<readonly Rendered[]>;
  end(): Promise<void>;
}

function startWorker(data: TemplateWorkerData, memoryMb: number): TemplateWorker {
  const worker = new Worker(new URL("./template-worker.js", import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: memoryMb },
  });
  // A worker that waits must not keep the process alive; one that works is held by its timer.
  worker.unref();
  let last = 0;
  const ready = new Promise<void>((resolve, reject) => {
    worker.once("online", resolve);
    worker.once("error", reject);
  });
  ready.catch(() => {});
  const ask = async (contexts: RenderRequest["contexts"], deadlineMs: number): Promise<readonly Rendered[]> => {
    await keepAlive(ready);
    last += 1;
    const id = last;
    return new Promise((resolve, reject) => {
      const stop = (error: Error): void => {
        finish();
        void worker.terminate();
        reject(error);
      };
      const timer = setTimeout(() => stop(new Error(`does not end within ${deadlineMs / 1000} s`)), deadlineMs);
      const onMessage = (answer: RenderAnswer): void => {
        if (answer.id !== id) return;
        finish();
        resolve(answer.rendered);
      };
      const onError = (error: Error): void => {
        const full = "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
        stop(new Error(full ? "needs too much memory" : `fails: ${error.message}`));
      };
      const onExit = (): void => stop(new Error("ended its worker thread"));
      const finish = (): void => {
        clearTimeout(timer);
        worker.off("message", onMessage);
        worker.off("error", onError);
        worker.off("exit", onExit);
      };
      worker.on("message", onMessage);
      worker.on("error", onError);
      worker.on("exit", onExit);
      worker.postMessage({ id, contexts } satisfies RenderRequest);
    });
  };
  return {
    ask,
    end: async () => {
      await worker.terminate();
    },
  };
}

/** Waits with a timer running, so that the process does not end while an unreferenced worker starts. */
async function keepAlive(started: Promise<void>): Promise<void> {
  const timer = setInterval(() => {}, 1000);
  try {
    await started;
  } finally {
    clearInterval(timer);
  }
}
