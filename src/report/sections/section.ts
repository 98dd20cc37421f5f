/** A part of the report: absent where the run has nothing for it. */
import type { Markup } from "../html.ts";
import type { RunData } from "../run-data.ts";

export interface Section {
  /** Anchor, and the word in the table of contents. */
  readonly id: string;
  readonly title: string;
  render(run: RunData): Markup | undefined;
}
