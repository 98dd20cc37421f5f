/**
 * `adapter_config.json` of peft, as far as it decides what a LoRA adapter adds to its base. Settings that change the
 * base, or that add something else than a product of two matrices, are refused by name.
 */

import { join } from "node:path";
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { excerptOf } from "../../excerpt.ts";
import { readJson } from "../../formats/files.ts";
import { firstIssue } from "../../issue.ts";

/** Single precision, which products are added in, ends at 3e38. */
const LARGEST_ALPHA = 1e30;

const alpha = z.number().min(-LARGEST_ALPHA).max(LARGEST_ALPHA);
const pattern = z.record(z.string(), alpha).nullish();

const schema = z.looseObject({
  peft_type: z.string(),
  base_model_name_or_path: z.string().nullish(),
  r: z.number().int().positive(),
  lora_alpha: alpha,
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  alpha_pattern: pattern,
  init_lora_weights: z.unknown().optional(),
});

/** What the adapter would be without these cannot be told. */
const UNSUPPORTED = [
  "alora_invocation_tokens",
  "arrow_config",
  "kasa_config",
  "layer_replication",
  "lora_bias",
  "monteclora_config",
  "target_parameters",
  "trainable_token_indices",
  "use_bdlora",
  "use_qalora",
  "velora_config",
];
/** Beginnings that take away from the base what the first product was; the adapter alone does not say how much. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq|lora_ga)/;
/** peft reads the names of a pattern as regular expressions; these are names, or nearly so: a dot may be escaped, a digit or a letter open. */
const NAME_LIKE = /^\^?(?:[\w.-]|\\[-.dw])+\$?$/;

export interface AdapterConfig {
  readonly path: string;
  readonly base: string | undefined;
  readonly isDora: boolean;
  readonly isFanInFanOut: boolean;
  /** The factor of the product in a module, whose rank is that of the stored matrices. */
  scaleOf(module: string, rank: number): number;
}

export async function readAdapterConfig(folder: string): Promise<AdapterConfig> {
  const path = join(folder, "adapter_config.json");
  const json = await readJson(path);
  const parsed = schema.safeParse(json);
  const kind = typeof json === "object" && json !== null && "peft_type" in json ? json.peft_type : undefined;
  if (kind !== "LORA") {
    const found = kind === undefined ? "no type" : excerptOf(kind);
    throw inputError(path, `expected a LoRA adapter, found ${found}; merge it with peft first`);
  }
  if (!parsed.success) {
    const { place, problem } = firstIssue(parsed.error);
    throw inputError(path, `${place === "" ? "" : `${place}: `}${problem}`);
  }
  const config = parsed.data;
  for (const key of UNSUPPORTED) {
    const value = config[key];
    const isUnset =
      value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0);
    if (!isUnset) throw inputError(path, `${key} is not supported in adapters; merge this one with peft first`);
  }
  const { init_lora_weights: start, alpha_pattern: alphas } = config;
  if (typeof start === "string" && CHANGES_BASE.test(start)) {
    throw inputError(
      path,
      `init_lora_weights ${start} changes the base; convert the adapter with peft first (path_initial_model_for_weight_conversion)`,
    );
  }
  const patterns = Object.entries(alphas ?? {}).map(([key, alpha]) => [moduleTest(key, path), alpha] as const);
  return {
    path,
    base: config.base_model_name_or_path ?? undefined,
    isDora: config.use_dora === true,
    isFanInFanOut: config.fan_in_fan_out === true,
    scaleOf: (module, rank) => {
      const alpha = patterns.find(([fits]) => fits(module))?.[1] ?? config.lora_alpha;
      return alpha / (config.use_rslora === true ? Math.sqrt(rank) : rank);
    },
  };
}

/** As peft does it: the pattern is all of the module's name, or what follows one of its dots. */
function moduleTest(key: string, path: string): (module: string) => boolean {
  if (!NAME_LIKE.test(key)) {
    throw inputError(
      path,
      `alpha_pattern: expected names of modules, found the regular expression ${JSON.stringify(key)}`,
    );
  }
  const isWhole = key.startsWith("^");
  const expression = new RegExp(`^${isWhole ? "" : "(?:.*\\.)?"}(?:${key.replace(/^\^/, "").replace(/\$$/, "")})$`);
  return (module) => expression.test(module);
}
