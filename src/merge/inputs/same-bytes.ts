/** Whether two tensors are one, stored twice. */
import { haveSameBytes as haveSameStoredBytes } from "../../formats/same-bytes.ts";
import type { InputTensor } from "../adapters/adapted.ts";

export async function haveSameBytes(a: InputTensor, b: InputTensor): Promise<boolean> {
  return a.update === b.update && haveSameStoredBytes(a, b);
}
