/**
 * Reference data and files of third parties that lie beside the project, in `../shared`. Tests that need them are
 * skipped where they are missing, and a test of its own says so; on a machine that checks the project (`CI=true`) that
 * one fails, or nobody would notice.
 */
import { test } from "vitest";

/** `isThere`: what the tests of the file need. `notDone` goes on with "so …". */
export function tellMissing(isThere: boolean, notDone: string): void {
  if (isThere) return;
  test(`skipped: ../shared is not there, so ${notDone}`, () => {
    if (process.env.CI === "true")
      throw new Error("expected ../shared beside the project: with CI=true nothing is skipped");
  });
}
