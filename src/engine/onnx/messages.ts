/**
 * What the main thread and the engine's worker thread say to each other. One call at a time is worked on, in order, but for
 * `answer`: those of a model are worked on together, pass by pass between the others.
 */
import type { ErrorCode } from "../../errors.ts";
import type {
  AnswerEnd,
  AnswerOptions,
  GenerateOptions,
  OptimiserOptions,
  RankedRows,
  RowBatch,
  StepResult,
  TokenLogprobs,
  WeightDtype,
} from "../engine.ts";
import type { PackedSequences, PackedTargets } from "../packed.ts";

/** A model or trainer that lives in the worker. */
export type Handle = number;

export interface OpenedModel {
  readonly handle: Handle;
  readonly vocabulary: number;
  readonly parameters: number;
  readonly maxPositions: number | null;
}

export interface PackedStep {
  readonly sequences: PackedSequences;
  readonly targets: PackedTargets;
  readonly lambda: number;
  readonly learningRate: number;
}

/** One shared word that is not 0 once a generation is to end: a message would wait behind the call it is about. */
export type StopFlag = Int32Array<SharedArrayBuffer>;

/** The calls, each with what goes in and what comes back. */
export interface Calls {
  load: { input: { threads: number | null; residentBytes: number | null }; output: null };
  /** Answers once everything before it has been answered. */
  idle: { input: null; output: null };
  open: { input: { folder: string }; output: OpenedModel };
  rows: { input: { handle: Handle; sequences: PackedSequences; topK: number }; output: RowBatch };
  rankedRows: { input: Calls["rows"]["input"]; output: RankedRows };
  logits: { input: { handle: Handle; ids: Int32Array }; output: Float32Array };
  generate: {
    input: { handle: Handle; prompts: readonly Int32Array[]; options: GenerateOptions; stop: StopFlag };
    output: readonly Int32Array[];
  };
  answer: {
    input: { handle: Handle; prompt: Int32Array; options: Omit<AnswerOptions, "signal">; stop: StopFlag };
    output: AnswerEnd;
  };
  close: { input: { handle: Handle }; output: null };
  train: { input: { folder: string; options: OptimiserOptions }; output: OpenedModel };
  step: { input: { handle: Handle; step: PackedStep }; output: StepResult };
  saveCheckpoint: { input: { handle: Handle; path: string }; output: null };
  loadCheckpoint: { input: { handle: Handle; path: string }; output: null };
  saveWeights: { input: { handle: Handle; folder: string; dtype: WeightDtype }; output: null };
}

export type CallName = keyof Calls;

/** One call under way. `Name` is one name at a time, so that name and input belong together. */
export type Request<Name extends CallName = CallName> = {
  [N in Name]: { readonly call: N; readonly id: number; readonly input: Calls[N]["input"] };
}[Name];

export type Reply =
  | { readonly type: "done"; readonly id: number; readonly output: Calls[CallName]["output"] }
  | {
      readonly type: "token";
      readonly id: number;
      readonly prompt: number;
      readonly token: number;
      readonly logprobs: TokenLogprobs | null;
    }
  | { readonly type: "error"; readonly id: number; readonly code: ErrorCode; readonly message: string };
