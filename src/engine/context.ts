/** What every stage is handed besides its input and options: who computes, who listens, and when to stop. */
import type { Reporter } from "../reporter.ts";
import type { Engine } from "./engine.ts";

export interface StageContext {
  readonly engine: Engine;
  readonly reporter: Reporter;
  /** Aborted by Ctrl-C: the stage finishes its unit in hand and calls `throwIfInterrupted`. */
  readonly signal?: AbortSignal;
}
