/** Whether two tensors hold the same bytes: compared piece by piece, up to the first difference. */
import { exists } from "./files.ts";
import { type TensorInfo, withTensorFile } from "./safetensors.ts";

/** The first piece tells in nearly all cases. */
const FIRST_BYTES = 1 << 12;
const PIECE_BYTES = 1 << 22;

export async function haveSameBytes(a: TensorInfo, b: TensorInfo): Promise<boolean> {
  if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
  // Of weights that are still to come nothing can be compared; what may be one is taken for one until then.
  if (!(await exists(a.file)) || !(await exists(b.file))) return true;
  let same = true;
  await withTensorFile(a, (readA) =>
    withTensorFile(b, async (readB) => {
      for (let start = 0, size = FIRST_BYTES; same && start < a.byteLength; start += size, size = PIECE_BYTES) {
        const count = Math.min(size, a.byteLength - start);
        const [left, right] = [Buffer.allocUnsafe(count), Buffer.allocUnsafe(count)];
        await Promise.all([readA(left, start), readB(right, start)]);
        same = left.equals(right);
      }
    }),
  );
  return same;
}
