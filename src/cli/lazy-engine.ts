/** An engine that starts when a model is opened: scoring finished judgments needs none, and starting takes a moment. */
import type { Engine } from "../engine/engine.ts";
import { type EngineSettings, modelFacts } from "../engine/index.ts";
import { identityOf } from "../engine/torch/settings.ts";

/** `start` is called at most once by whoever opens a model first; who started the engine disposes of it. */
export function lazyEngine(settings: EngineSettings, start: () => Promise<Engine>): Engine {
  const { kind } = settings;
  return {
    kind,
    ...(kind === "torch" && { identity: identityOf(settings) }),
    facts: (folder) => modelFacts(kind, folder),
    open: async (folder, work) => (await start()).open(folder, work),
    train: async (folder, options) => (await start()).train(folder, options),
    dispose: async () => {},
  };
}
