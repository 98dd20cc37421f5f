/** The sequence alignments, in the order of help: one file each, one line here. */
import { inputError, suggestion } from "../../errors.ts";
import type { SequenceAlignment } from "../sequence.ts";
import { bytes } from "./bytes.ts";
import { dynamicProgramming } from "./dynamic-programming.ts";

export const SEQUENCES: readonly SequenceAlignment[] = [bytes, dynamicProgramming];

export function findSequence(name: string): SequenceAlignment {
  const found = SEQUENCES.find((sequence) => sequence.name === name);
  if (found !== undefined) return found;
  const names = SEQUENCES.map((sequence) => sequence.name);
  const hint = suggestion(name, names) || `; expected ${names.join(", ")}`;
  throw inputError("align", `unknown sequence alignment "${name}"${hint}`);
}
