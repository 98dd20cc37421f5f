/**
 * The recipe's `engine`: a kind, or a mapping of a kind and its settings. It stands for the whole recipe, or at a model,
 * whose distributions it then computes.
 */
import { z } from "zod";
import { ENGINE_KINDS, type EngineSettings, TORCH } from "../engine/index.ts";
import { isServerKind, SERVER_KIND_NAMES, serverKind } from "../engine/server/kinds/index.ts";
import { SERVER_CONCURRENCY } from "../engine/server/settings.ts";
import { GPUS, type GpuName } from "../engine/torch/gpus.ts";
import { COMPUTES, DEVICES, type Launch } from "../engine/torch/settings.ts";

type Kind = EngineSettings["kind"];

const SERVERS = SERVER_KIND_NAMES.map((name) => `\`${name}\``).join(" and ");
const KIND = `\`onnx\` runs inside this program, on the processor; \`torch\` starts PyTorch; ${SERVERS} are servers that have the model. (name; default onnx)`;
const kinds = (): z.ZodEnum<Record<Kind, Kind>> =>
  z.enum(Object.fromEntries(ENGINE_KINDS.map((kind) => [kind, kind])) as Record<Kind, Kind>);

const mapping = z.strictObject({
  kind: kinds().optional().describe(KIND),
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
    .describe(
      "`torch`: processes on this machine; for `plan`, where a command or somebody else starts them, all there are. (processes; default one a GPU, else one)",
    ),
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
  gpu: z
    // YAML reads a bare 4090 as a number.
    .union([z.enum(GPUS), z.literal(4090)])
    .optional()
    .describe("`torch`: the card that `plan` reckons with, for memory and hours. (name; default the one that is here)"),
  url: z
    .string()
    .regex(/^https?:\/\//i, "an address such as http://127.0.0.1:8000")
    .optional()
    .describe(
      `${SERVERS}: the server's address; keys come from the environment alone. (address; default none, required there)`,
    ),
  model: z
    .string()
    .min(1)
    .optional()
    .describe(`${SERVERS}: the server's name of the model. (text; default the only one that it has)`),
  concurrency: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe(`${SERVERS}: requests in flight at most. (requests; default ${SERVER_CONCURRENCY})`),
  max_logprobs: z
    .int()
    .min(1)
    .optional()
    .describe(
      `${SERVERS}: candidates a row that the server was started to give. (tokens; default 20 for vllm, no limit for sglang)`,
    ),
});

export const engineSchema = (): z.ZodType<EngineFile, EngineFile> => z.union([kinds(), mapping]);

export type EngineFile =
  | Kind
  | {
      kind?: Kind | undefined;
      threads?: number | undefined;
      python?: string | undefined;
      processes?: number | undefined;
      compute?: (typeof COMPUTES)[number] | undefined;
      device?: (typeof DEVICES)[number] | undefined;
      launch?: Launch | string[] | undefined;
      micro_tokens?: number | undefined;
      gpu?: GpuName | 4090 | undefined;
      url?: string | undefined;
      model?: string | undefined;
      concurrency?: number | undefined;
      max_logprobs?: number | undefined;
    };

/** With every default filled in. */
export function writeOutEngine(file: EngineFile): EngineSettings {
  const { kind = "onnx", threads, ...other } = typeof file === "string" ? { kind: file } : file;
  if (kind === "onnx") return { kind, threads: threads ?? null };
  if (isServerKind(kind)) {
    const { url = "", model = null, concurrency = SERVER_CONCURRENCY, max_logprobs: maxLogprobs = null } = other;
    return { kind, url, model, concurrency, maxLogprobs };
  }
  return {
    ...TORCH,
    ...(other.python !== undefined && { python: other.python }),
    ...(other.processes !== undefined && { processes: other.processes }),
    ...(other.compute !== undefined && { compute: other.compute }),
    ...(other.device !== undefined && { device: other.device }),
    ...(other.launch !== undefined && { launch: other.launch }),
    ...(other.micro_tokens !== undefined && { microTokens: other.micro_tokens }),
    ...(other.gpu !== undefined && { gpu: other.gpu === 4090 ? "4090" : other.gpu }),
  };
}

const SERVER_KEYS = ["url", "model", "concurrency", "max_logprobs"];
const TORCH_KEYS = ["python", "processes", "compute", "device", "launch", "micro_tokens", "gpu"];

function keysOf(kind: Kind): readonly string[] {
  return kind === "onnx" ? ["threads"] : kind === "torch" ? TORCH_KEYS : SERVER_KEYS;
}

/** Settings of another kind: key and what to say of it. */
export function foreignSettings(file: EngineFile): { readonly key: string; readonly message: string }[] {
  if (typeof file === "string") return [];
  const { kind = "onnx" } = file;
  return Object.keys(file)
    .filter((key) => key !== "kind" && !keysOf(kind).includes(key))
    .map((key) => {
      const owners = ENGINE_KINDS.filter((other) => keysOf(other).includes(key));
      return { key, message: `is a setting of kind ${owners.join(" and ")}; leave it out` };
    });
}

/** What is wrong with the engine of a model (`isWhole`: of the whole recipe) for `topK` candidates a row; null: nothing. */
export function serverProblem(file: EngineFile, topK: number, isWhole: boolean): string | null {
  const settings = writeOutEngine(file);
  if (!("url" in settings)) return null;
  const { kind, url, maxLogprobs } = settings;
  if (isWhole)
    return `${kind} gives distributions alone; write it at a source, or at the pivot, which is trained by the recipe's engine`;
  if (url === "")
    return `expected the address of the server, found none; write engine: { kind: ${kind}, url: http://127.0.0.1:8000 }`;
  const most = maxLogprobs ?? serverKind(kind).maxLogprobs;
  if (most === null || topK <= most) return null;
  const { title, startedWith } = serverKind(kind);
  return `distributions.top_k is ${topK}, but the server gives ${most} candidates a row; start ${title} with ${startedWith(topK)} and say max_logprobs: ${topK}, or lower top_k`;
}
