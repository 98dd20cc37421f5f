/**
 * The recipe's `engine`: a kind, or a mapping of a kind and its settings. It stands for the whole recipe, or at a model,
 * whose distributions it then computes.
 */
import { z } from "zod";
import { ENGINE_KINDS, type EngineSettings, TORCH } from "../engine/index.ts";
import { COMPUTES, DEVICES, type Launch } from "../engine/torch/settings.ts";

const KIND = "`onnx` runs inside this program, on the processor; `torch` starts PyTorch. (name; default onnx)";

const mapping = z.strictObject({
  kind: z.enum(ENGINE_KINDS).optional().describe(KIND),
  threads: z.int().min(1).max(1024).optional().describe("`onnx`: threads. (threads; default one a core)"),
  python: z
    .string()
    .min(1)
    .optional()
    .describe("`torch`: the Python with torch, transformers and safetensors. (command or path; default python3)"),
  processes: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe("`torch`: processes on this machine. (processes; default one a GPU, else one)"),
  compute: z
    .enum(COMPUTES)
    .optional()
    .describe("`torch`: in which layers are computed; weights, moments and sums are float32. (name; default bfloat16)"),
  device: z.enum(DEVICES).optional().describe("`torch`: where it computes. (name; default auto)"),
  launch: z
    .union([z.enum(["local", "manual"]), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe(
      "`torch`: started here, by a command that takes the job folder as its last argument, or by hand where `manual` says. (name or list of text; default local)",
    ),
  micro_tokens: z
    .int()
    .min(1)
    .optional()
    .describe("`torch`: tokens of a micro-batch of one process. (tokens; default 8192, on processors 2048)"),
});

export const engineSchema = (): z.ZodType<EngineFile, EngineFile> => z.union([z.enum(ENGINE_KINDS), mapping]);

export type EngineFile =
  | EngineSettings["kind"]
  | {
      kind?: EngineSettings["kind"] | undefined;
      threads?: number | undefined;
      python?: string | undefined;
      processes?: number | undefined;
      compute?: (typeof COMPUTES)[number] | undefined;
      device?: (typeof DEVICES)[number] | undefined;
      launch?: Launch | string[] | undefined;
      micro_tokens?: number | undefined;
    };

/** With every default filled in. */
export function writeOutEngine(file: EngineFile): EngineSettings {
  const { kind = "onnx", threads, ...torch } = typeof file === "string" ? { kind: file } : file;
  if (kind === "onnx") return { kind, threads: threads ?? null };
  return {
    ...TORCH,
    ...(torch.python !== undefined && { python: torch.python }),
    ...(torch.processes !== undefined && { processes: torch.processes }),
    ...(torch.compute !== undefined && { compute: torch.compute }),
    ...(torch.device !== undefined && { device: torch.device }),
    ...(torch.launch !== undefined && { launch: torch.launch }),
    ...(torch.micro_tokens !== undefined && { microTokens: torch.micro_tokens }),
  };
}

/** Settings of the other kind: key and what to say of it. */
export function foreignSettings(file: EngineFile): { readonly key: string; readonly message: string }[] {
  if (typeof file === "string") return [];
  const { kind = "onnx" } = file;
  return Object.keys(file)
    .filter((key) => key !== "kind" && (key === "threads") !== (kind === "onnx"))
    .map((key) => ({ key, message: `is a setting of kind ${kind === "onnx" ? "torch" : "onnx"}; leave it out` }));
}
