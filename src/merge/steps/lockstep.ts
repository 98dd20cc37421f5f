/**
 * Several computations that each need passes over one tensor, run side by side: every reading of the tensor serves all
 * of them. Five models' selections so cost as many readings as one.
 */
import type { Pass } from "../method.ts";

/** Ends when all parts have ended, with their results in order. */
export function* lockstep<T>(parts: readonly Generator<Pass, T, void>[]): Generator<Pass, T[], void> {
  const results = new Map<number, T>();
  for (;;) {
    const passes: Pass[] = [];
    for (const [index, part] of parts.entries()) {
      if (results.has(index)) continue;
      const step = part.next();
      if (step.done === true) results.set(index, step.value);
      else passes.push(step.value);
    }
    if (passes.length === 0) return parts.map((_, index) => results.get(index)!);
    yield (chunk) => {
      for (const pass of passes) pass(chunk);
    };
  }
}
