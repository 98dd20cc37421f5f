/** How the torch engine is started and computes; what a recipe's or a command's `engine: torch` says. */
import type { GpuName } from "./gpus.ts";

export const COMPUTES = ["bfloat16", "float32"] as const;
export const DEVICES = ["auto", "cuda", "mps", "cpu"] as const;

export type Compute = (typeof COMPUTES)[number];
export type Device = (typeof DEVICES)[number];

/**
 * `local` starts torchrun here; a command is started instead of `python -m torch.distributed.run …` with its arguments
 * after it (`srun`, a container); `manual` writes the job and says what to run, wherever that may be.
 */
export type Launch = "local" | "manual" | readonly string[];

export interface TorchSettings {
  /** The Python to start; it needs torch, transformers and safetensors. */
  readonly python: string;
  /** Processes on this machine; null: one a GPU, or one. */
  readonly processes: number | null;
  /** In which layers are computed; weights that are trained, moments, log-softmax and sums are float32 in both. */
  readonly compute: Compute;
  readonly device: Device;
  readonly launch: Launch;
  /** Tokens of a micro-batch of one process; null: by the device. */
  readonly microTokens: number | null;
  /** The card that plans are made for; null: the one that is here. */
  readonly gpu: GpuName | null;
}

/** What results depend on besides their inputs. */
export function identityOf({ compute }: Pick<TorchSettings, "compute">): string {
  return `torch ${compute}`;
}

export const TORCH_DEFAULTS: TorchSettings = {
  python: "python3",
  processes: null,
  compute: "bfloat16",
  device: "auto",
  launch: "local",
  microTokens: null,
  gpu: null,
};

/** Tokens of a micro-batch: on a GPU as many as keep it busy, on a processor as many as its memory likes. */
const GPU_TOKENS = 8192;
const CPU_TOKENS = 2048;

export function microTokensOf({ microTokens }: TorchSettings, onProcessor: boolean): number {
  return microTokens ?? (onProcessor ? CPU_TOKENS : GPU_TOKENS);
}
