/**
 * Tensors of a checkpoint that are no weights. Tables that follow from the config or serve training alone (causal
 * masks, rotary frequencies, positions) are written by some versions of a library and not by others; nothing reads them,
 * and they are left out. Other whole numbers (a routing table, a codebook's counts) are data that nobody can average.
 */
import type { Dtype, TensorInfo } from "../../formats/safetensors.ts";

const DERIVED =
  /(^|\.)(rotary_\w*emb\w*\.\w+|inv_freq|cos_cached|sin_cached|position_ids|masked_bias|causal_mask|attn_mask|num_batches_tracked)$/;

/** GPT-2, GPT-Neo, GPT-NeoX and their kin call the mask their attention's bias; a bias has one axis. */
const MASK = /(^|\.)\w*att\w*\.(bias|mask)$/;

/** True of tables that follow from the config. */
export function isDerived({ name, shape, dtype }: Pick<TensorInfo, "name" | "shape" | "dtype">): boolean {
  if (DERIVED.test(name)) return true;
  const [first, second, rows, columns] = shape;
  const isMaskShaped = shape.length === 4 && first === 1 && second === 1 && rows === columns;
  return MASK.test(name) && (isMaskShaped || dtype === "BOOL");
}

const WHOLE_NUMBERS: readonly Dtype[] = ["I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"];

export function holdsWholeNumbers(dtype: Dtype): boolean {
  return WHOLE_NUMBERS.includes(dtype);
}
