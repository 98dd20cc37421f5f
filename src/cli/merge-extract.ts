/** `fusechat merge extract-lora`: an adapter out of a model and its base, with the error of every matrix. */
import { inputError } from "../errors.ts";
import { extractAdapter } from "../merge/adapters/extract.ts";
import { fetched } from "../models/reference.ts";
import type { Invocation } from "./verb.ts";

/** What stands for a configuration. */
export const EXTRACT = "extract-lora";

const RANK = 16;
/** Matrices that are printed, those of the largest errors. */
const SHOWN = 5;

export async function runExtract(
  { reporter, signal, print, document, hub }: Invocation,
  { base, model, out, rank = RANK, ...others }: Record<string, unknown>,
): Promise<void> {
  const required = { base, model, out };
  for (const [name, value] of Object.entries(required)) {
    if (value === undefined)
      throw inputError("fusechat merge extract-lora", `required option '--${name} <folder>' not specified`);
  }
  for (const name of ["plan", "repair", "shardSize", "like"]) {
    if (others[name] !== undefined) throw inputError("fusechat merge extract-lora", `--${name} is an option of merges`);
  }
  const count = Number(rank);
  if (!Number.isInteger(count) || count < 1) {
    throw inputError(
      "fusechat merge extract-lora",
      `--rank: expected a whole number from 1, found ${JSON.stringify(rank)}`,
    );
  }
  const options = { base: String(base), model: String(model), rank: count, out: String(out), hub: fetched(hub) };
  const summary = await extractAdapter(options, { reporter, signal });
  document(summary);
  print(
    `${summary.out}: ${summary.matrices.length} matrices of rank ${summary.rank}, ${percent(summary.error)} of the update left out`,
  );
  const worst = [...summary.matrices].sort((a, b) => b.error - a.error).slice(0, SHOWN);
  for (const { module, error } of worst) print(`  ${module}: ${percent(error)}`);
  if (summary.matrices.length > SHOWN) print(`  and ${summary.matrices.length - SHOWN} more, in README.md`);
  if (summary.saved.length > 0) print(`  saved whole: ${summary.saved.join(", ")}`);
  if (summary.left_out.length > 0) {
    const message = `no LoRA adapter holds these tensors, which differ: ${summary.left_out.join(", ")}`;
    reporter.report({ type: "warning", stage: "extract-lora", message });
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)}%`;
}
