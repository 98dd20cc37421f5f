/**
 * The chat template of a model folder, found and given its context as transformers does it, and rendered in a worker
 * thread with a deadline and a limit on output and memory, because a template is a program by somebody else.
 */
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { inputError } from "../errors.ts";
import { exists, readJson, readText } from "../formats/files.ts";
import { contentOf } from "../tokenizer/special.ts";
import type { Turn } from "./conversation.ts";
import type { RenderAnswer, Rendered, RenderRequest, TemplateWorkerData } from "./template-worker.ts";

/** A template and what it is rendered with besides the messages: the special tokens by their names. */
export interface ChatTemplate {
  /** The file it comes from, for messages. */
  readonly path: string;
  readonly source: string;
  readonly specialTokens: Readonly<Record<string, string | readonly string[]>>;
}

export interface RenderJob {
  readonly turns: readonly Turn[];
  readonly generationPrompt: boolean;
}

/** The text, or the reason why the template does not take the conversation. */
export type Rendering = { readonly text: string } | { readonly refused: string };

export interface TemplateRenderer {
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

const SPECIAL_TOKENS = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

const tokenEntry = z.union([z.string(), z.looseObject({ content: z.string() })]);

const configFile = z.looseObject({
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
  additional_special_tokens: z.array(tokenEntry).nullish(),
});

/** Finds the template: `chat_template.jinja` first, else `chat_template` of `tokenizer_config.json`. */
export async function readChatTemplate(folder: string): Promise<ChatTemplate> {
  const configPath = join(folder, "tokenizer_config.json");
  const config = await readConfig(configPath);
  const older = await readConfig(join(folder, "special_tokens_map.json"));
  const specialTokens = specialTokensOf(config, older);
  const jinjaPath = join(folder, "chat_template.jinja");
  if (await exists(jinjaPath)) return { path: jinjaPath, source: await readText(jinjaPath), specialTokens };
  const template = config.chat_template;
  if (template === null || template === undefined) {
    throw inputError(
      folder,
      "no chat template: expected chat_template in tokenizer_config.json, or chat_template.jinja",
    );
  }
  if (typeof template === "string") return { path: configPath, source: template, specialTokens };
  const named = template.find((entry) => entry.name === "default");
  if (named === undefined) {
    const names = template.map((entry) => entry.name).join(", ") || "none";
    throw inputError(configPath, `expected a chat template named default, found ${names}`);
  }
  return { path: configPath, source: named.template, specialTokens };
}

/** Starts the worker. Every renderer must end with `dispose`; it does not keep the process alive. */
export function openRenderer(template: ChatTemplate, limits: Partial<TemplateLimits> = {}): TemplateRenderer {
  const { deadlineMs, longest, memoryMb } = { ...LIMITS, ...limits };
  let worker: TemplateWorker | undefined;
  const renderBatch = async (jobs: readonly RenderJob[]): Promise<Rendering[]> => {
    worker ??= startWorker({ source: template.source, longest }, memoryMb);
    const contexts = jobs.map(({ turns, generationPrompt }) => ({
      ...template.specialTokens,
      messages: turns.map(({ role, content }) => ({ role, content })),
      // transformers passes these two as None; templates ask whether they are none, not whether they are defined.
      tools: null,
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

type Config = z.infer<typeof configFile>;

async function readConfig(path: string): Promise<Config> {
  if (!(await exists(path))) return {};
  const parsed = configFile.safeParse(await readJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw inputError(path, `${issue?.path.join(".") || "the file"}: ${issue?.message ?? "wrong shape"}`);
}

/** Tokens that are null are left out, as transformers does: a template then sees them undefined, not as "null". */
function specialTokensOf(config: Config, older: Config): ChatTemplate["specialTokens"] {
  const tokens: Record<string, string | readonly string[]> = {};
  for (const name of SPECIAL_TOKENS) {
    const entry = tokenEntry.safeParse(config[name] ?? older[name]);
    const content = entry.success ? contentOf(entry.data) : undefined;
    if (content !== undefined) tokens[name] = content;
  }
  const additional = config.additional_special_tokens ?? older.additional_special_tokens;
  if (additional !== null && additional !== undefined) {
    tokens.additional_special_tokens = additional.flatMap((entry) => contentOf(entry) ?? []);
  }
  return tokens;
}
