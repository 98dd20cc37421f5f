/** An engine that starts when a model is opened: scoring finished judgments needs none, and starting takes a moment. */
import type { Engine } from "../engine/engine.ts";

/** `start` is called at most once by whoever opens a model first; who started the engine disposes of it. */
export function lazyEngine(start: () => Promise<Engine>): Engine {
  return {
    kind: "onnx",
    open: async (folder) => (await start()).open(folder),
    train: async (folder, options) => (await start()).train(folder, options),
    dispose: async () => {},
  };
}
