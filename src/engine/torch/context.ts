/** What every job of the torch engine is made with. */
import type { Watch } from "../engine.ts";
import type { PythonFacts } from "./python.ts";
import type { TorchSettings } from "./settings.ts";

export interface TorchContext {
  readonly settings: TorchSettings;
  /** Null where no Python is started here by this program itself. */
  readonly facts: PythonFacts | null;
  readonly microTokens: number;
}

/** The part of every job's settings that says how it is worked on. */
export function manners({ settings, microTokens }: TorchContext): Record<string, unknown> {
  return { device: settings.device, compute: settings.compute, micro_tokens: microTokens };
}

export function signalOf({ signal }: Pick<Watch, "signal">): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
