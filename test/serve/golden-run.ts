/** The golden pipeline as a run that a server shows: its pivot is the golden Mistral. */
import { join, resolve } from "node:path";
import type { RunReference } from "#src/serve/run/run-view.js";
import { goldenFolder } from "../engine/onnx/golden.ts";

const GOLDEN = resolve(import.meta.dirname, "../golden/pipeline");

export function goldenRun(): RunReference {
  return {
    data: join(GOLDEN, "conversations.jsonl"),
    pivot: { name: "mistral", folder: join(GOLDEN, "distributions/mistral") },
    tokenizer: goldenFolder("mistral"),
    sources: ["qwen2", "gemma2"].map((name) => ({ name, folder: join(GOLDEN, "aligned", name) })),
    asked: ["mistral"],
  };
}
