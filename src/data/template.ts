/**
 * A chat template, given its context as transformers does it and rendered in a process of its own with limits on time,
 * memory and output, because a template is a program by somebody else.
 */
import { inputError, Limitation } from "../errors.ts";
import { openSandbox, type Sandbox, SandboxDeath } from "../sandbox/sandbox.ts";
import type { Turn } from "./conversation.ts";
import { messageOf, reasoningName } from "./messages.ts";
import { withReasoningInside } from "./original.ts";
import type { ChatTemplate } from "./template-files.ts";
import { DEFAULT_TEMPLATE_SETTINGS, type TemplateSettings } from "./template-settings.ts";
import type { Rendered, TemplateWork } from "./template-work.ts";

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
}

export interface TemplateLimits {
  /** Processor time for one message, that is for at most 64 renderings, which take about a millisecond each. */
  readonly seconds: number;
  /** Longest rendering, UTF-16 units. */
  readonly longest: number;
  /** Memory of the whole process, of which the runtime has 60 MB. */
  readonly memoryMb: number;
}

const LIMITS: TemplateLimits = { seconds: 10, longest: 1 << 24, memoryMb: 200 };

/** Renderings a message: enough to make the message's own cost (some 0.1 ms) small. */
const JOBS_PER_MESSAGE = 64;

/** Content of a message's renderings, UTF-16 units: what is held at once stays far below the limit of memory. */
const CHARACTERS_PER_MESSAGE = 1 << 20;

let process: Sandbox<TemplateWork> | undefined;

/** One process for all templates of the program. */
function templateProcess(): Sandbox<TemplateWork> {
  process ??= openSandbox({
    script: new URL("./template-process.js", import.meta.url),
    stage: "chat template",
    heapMb: LIMITS.memoryMb,
  });
  return process;
}

export function openRenderer(
  template: ChatTemplate,
  settings: TemplateSettings = DEFAULT_TEMPLATE_SETTINGS,
  limits: Partial<TemplateLimits> = {},
): TemplateRenderer {
  const { source, path } = template;
  const reasoning = reasoningName(source);
  const { seconds, longest, memoryMb } = { ...LIMITS, ...limits };
  const renderBatch = async (jobs: readonly RenderJob[]): Promise<Rendering[]> => {
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
      const request = { source, date: settings.date, longest, contexts };
      rendered = await templateProcess().call("render", request, { seconds, memoryMb });
    } catch (error) {
      if (error instanceof SandboxDeath) throw inputError(path, `the chat template ${error.message}`, error);
      throw error;
    }
    return rendered.map((answer) => {
      if ("failed" in answer) {
        const problem = `the chat template fails: ${answer.failed}`;
        throw answer.isUnsupported === true ? new Limitation(path, problem) : inputError(path, problem);
      }
      return answer;
    });
  };
  return {
    path,
    render: async (jobs) => {
      const renderings: Rendering[] = [];
      while (renderings.length < jobs.length) {
        renderings.push(...(await renderBatch(nextMessage(jobs, renderings.length))));
      }
      return renderings;
    },
  };
}

function nextMessage(jobs: readonly RenderJob[], first: number): readonly RenderJob[] {
  let characters = 0;
  let end = first;
  while (end < jobs.length && end < first + JOBS_PER_MESSAGE) {
    for (const { content } of jobs[end]!.turns) characters += content.length;
    if (end > first && characters > CHARACTERS_PER_MESSAGE) break;
    end += 1;
  }
  return jobs.slice(first, end);
}
