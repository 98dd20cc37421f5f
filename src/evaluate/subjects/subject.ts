/**
 * A model under test: something that answers dialogues. A folder with weights, a model behind an endpoint, and an
 * ensemble of several look the same to a benchmark that only reads answers; one that reads probabilities (held-out)
 * needs a folder.
 */
import type { Turn } from "../../data/conversation.ts";
import type { TemplateSettings } from "../../data/template-settings.ts";
import type { EndpointOptions } from "../../engine/endpoint/endpoint.ts";

export type SubjectReference =
  | {
      readonly kind: "folder";
      readonly name: string;
      readonly folder: string;
      /** What its prompts are rendered with; default the fixed date and no variables. */
      readonly template?: TemplateSettings;
    }
  | { readonly kind: "endpoint"; readonly name: string; readonly endpoint: EndpointOptions }
  | {
      readonly kind: "ensemble";
      readonly name: string;
      /** `lowest-perplexity`: each member's answer read by all of them; `judge`: the judge's choice. */
      readonly choice: "lowest-perplexity" | "judge";
      readonly members: readonly SubjectReference[];
    };

export interface Dialogue {
  /** Unique in the benchmark; seeds the sampling of its answer. */
  readonly id: string;
  /** Ends with a user turn. */
  readonly turns: readonly Turn[];
}

export interface AnswerSettings {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Nucleus: the smallest set of most probable tokens whose mass reaches this; default 1, all of them. */
  readonly topP?: number;
  readonly maxTokens: number;
  /** With the dialogue's id it seeds the sampling. */
  readonly seed: string;
}

export interface Answer {
  readonly text: string;
  /**
   * `length`: cut at `maxTokens` or where the model's context ends; `refused`: the model's template takes no such
   * dialogue, or its context is too short for it, and `text` is empty.
   */
  readonly finish: "stop" | "length" | "refused";
}

export type AnswerListener = (dialogue: number, answer: Answer) => void | Promise<void>;

export interface Subject {
  readonly name: string;
  /** What its answers depend on besides dialogue and settings: weights' hash, or URL and model. */
  readonly identity: string;
  /**
   * One answer a dialogue, in their order. An answer does not depend on what else is asked with it. `onAnswer` hears
   * each as soon as it is there, by the index of its dialogue, and is waited for.
   */
  answer(
    dialogues: readonly Dialogue[],
    settings: AnswerSettings,
    signal?: AbortSignal,
    onAnswer?: AnswerListener,
  ): Promise<Answer[]>;
  /** Gives back the memory of a local model between two calls; the next call opens it again. */
  putAway?(): Promise<void>;
  dispose(): Promise<void>;
}
