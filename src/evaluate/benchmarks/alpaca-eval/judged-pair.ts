/** What scoring reads, wherever it comes from: a file of annotations, or a judge just asked. */
import type { Reasoning } from "../../reasoning.ts";
import type { Orders } from "./result.ts";

export interface JudgedPair {
  readonly instruction: string;
  /** 1: the baseline's answer, 2: the model's; null where the judge's answer could not be read. */
  readonly preference: number | null;
  /** Unicode code points of the model's answer and of the baseline's. */
  readonly length: number;
  readonly baselineLength: number;
  /** The model answered nothing. */
  readonly isEmpty: boolean;
  /** What the judge said, where that could not be read. */
  readonly answer?: string;
  readonly orders?: Orders;
}

/** All of one model, in the benchmark's order. */
export interface Judgments {
  readonly model: string;
  readonly baseline: string;
  readonly judge: string;
  readonly pairs: readonly JudgedPair[];
  readonly cut?: number;
  readonly refused?: number;
  /** Whether the judge was shown the model's reasoning; absent of finished annotations. */
  readonly reasoning?: Reasoning;
  readonly tokens?: { readonly questions: number; readonly prompt: number; readonly answer: number };
}
