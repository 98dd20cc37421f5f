/** One answer of one source to one prompt, and what it is worth. */
import type { Answer } from "../evaluate/subjects/subject.ts";
import type { Prompt } from "./prompts.ts";

export interface Candidate extends Answer {
  /** The model's name. */
  readonly source: string;
  /** Which of the source's answers to the prompt, from 0. */
  readonly sample: number;
}

/** Usable answers to one prompt, no two of them alike, in the order of sources and samples. */
export interface Candidates {
  readonly prompt: Prompt;
  readonly answers: readonly Candidate[];
}
