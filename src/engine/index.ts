/** The engines by kind. To add one: a folder beside this file, and a line in each of the functions below. */
import { NO_OUTLINES, type Outlines } from "../formats/weights.ts";
import type { Engine, ModelFacts } from "./engine.ts";
import { SERVER_KIND_NAMES, type ServerKindName } from "./server/kinds/index.ts";
import type { KeyFor, ServerSettings } from "./server/settings.ts";
import { TORCH_DEFAULTS, type TorchSettings } from "./torch/settings.ts";

/** What computes, in full: as a recipe or a command line says it, defaults filled in. */
export type EngineSettings =
  | { readonly kind: "onnx"; readonly threads: number | null }
  | ({ readonly kind: "torch" } & TorchSettings)
  | ({ readonly kind: ServerKindName } & ServerSettings);

export const ENGINE_KINDS: readonly EngineSettings["kind"][] = ["onnx", "torch", ...SERVER_KIND_NAMES];

export const EMBEDDED: EngineSettings = { kind: "onnx", threads: null };
export const TORCH: Extract<EngineSettings, { kind: "torch" }> = { kind: "torch", ...TORCH_DEFAULTS };

/**
 * Starts an engine; throws one sentence where what it needs is not there. Each is loaded only where it is asked for.
 * `keyFor` has the keys of servers.
 */
export async function createEngine(settings: EngineSettings, keyFor: KeyFor = () => undefined): Promise<Engine> {
  switch (settings.kind) {
    case "onnx": {
      const { createOnnxEngine } = await import("./onnx/index.ts");
      return createOnnxEngine(settings.threads === null ? {} : { threads: settings.threads });
    }
    case "torch": {
      const { createTorchEngine } = await import("./torch/index.ts");
      return createTorchEngine(settings);
    }
    default: {
      const { createServerEngine } = await import("./server/index.ts");
      return createServerEngine(settings, keyFor(settings.url));
    }
  }
}

/** Whether an engine of a kind can run a model, asked before one is started: as `Engine.facts`, of a folder or its `outlines`. */
export async function modelFacts(
  kind: EngineSettings["kind"],
  folder: string,
  outlines: Outlines = NO_OUTLINES,
): Promise<ModelFacts> {
  switch (kind) {
    case "onnx":
      return (await import("./onnx/model-facts.ts")).modelFacts(folder, outlines);
    case "torch":
      return (await import("./torch/model-facts.ts")).modelFacts(folder, outlines);
    default:
      return (await import("./server/model-facts.ts")).modelFacts(folder);
  }
}
