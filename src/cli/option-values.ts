/** Checked values of command line options: a commander argument parser for each kind, with its bounds in the message. */
import { InvalidArgumentError } from "commander";

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** Parses a whole number: `command.option("--top-k <n>", "…", integer({ min: 1 }), 10)`. */
export function integer(bounds: Bounds = {}): (text: string) => number {
  return (text) => {
    const value = number(bounds)(text);
    if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("Expected a whole number.");
    return value;
  };
}

/** Parses a finite number within the bounds, both inclusive. */
export function number({ min = -Infinity, max = Infinity }: Bounds = {}): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (!Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
    if (value < min) throw new InvalidArgumentError(`Expected at least ${min}.`);
    if (value > max) throw new InvalidArgumentError(`Expected at most ${max}.`);
    return value;
  };
}
