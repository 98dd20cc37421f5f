/**
 * Checkpoints whose weights are packed in a few bits. They cannot be merged as they are, and what their tensors look
 * like differs by library: the config says which it was, or the tensors' names and types give it away.
 */
import { inputError } from "../../errors.ts";
import { isJsonObject, type JsonObject } from "../../formats/json-document.ts";
import type { Dtype, TensorInfo } from "../../formats/safetensors.ts";
import { holdsWholeNumbers } from "./buffers.ts";

const FLOATING: readonly Dtype[] = ["F64", "F32", "F16", "BF16"];

/** Packed weights, and the scales beside them, of bitsandbytes, GPTQ, AWQ, HQQ, compressed-tensors and their kin. */
const PACKED =
  /\.(qweight|qzeros|g_idx|weight_packed|W_q|absmax|quant_map|nested_absmax|quant_state\.\w+|SCB|weight_format|weight_scale|weight_scale_inv|weight_zero_point|blocks)$|_(blocks|scales)$/;

/** Throws where a model's weights are quantised. A config that says so of plain weights was left from before. */
export function refuseQuantised(folder: string, config: JsonObject, tensors: Iterable<TensorInfo>): void {
  let packed: TensorInfo | undefined;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const isMatrix = shape.length >= 2 && name.endsWith(".weight");
    const isPacked = !FLOATING.includes(dtype) && (!holdsWholeNumbers(dtype) || isMatrix || PACKED.test(name));
    if (isPacked) packed ??= tensor;
  }
  if (packed === undefined) return;
  const method = methodOf(config);
  const by = method === undefined ? "" : ` by ${method}`;
  throw inputError(
    folder,
    `its weights are quantised${by} (${JSON.stringify(packed.name)} is ${packed.dtype}); ` +
      "merge the floating-point model that it was made from, or a dequantised copy",
  );
}

function methodOf(config: JsonObject): string | undefined {
  for (const key of ["quantization_config", "compression_config"]) {
    const section = config.get(key);
    const method = isJsonObject(section) ? section.get("quant_method") : undefined;
    if (typeof method === "string") return method;
  }
  return undefined;
}
