/**
 * Memory given back at once. The binding copies every output of a run into an array of its own; gradients that were
 * used or added to others would wait for the collector through the next micro-batch, four bytes a parameter. (Outputs
 * written into given arrays are copied as well, so nothing is gained by giving any.)
 */
import { MessageChannel } from "node:worker_threads";

/** Less than this is left to the collector: giving back costs about 0.1 ms. */
const WORTH_BYTES = 2 ** 24;

/** Frees the memory of arrays that nobody reads any more; they have no elements afterwards. */
export async function discard(arrays: readonly ArrayBufferView<ArrayBuffer>[]): Promise<void> {
  const bytes = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (bytes < WORTH_BYTES) return;
  // What is moved to a port that is closed before it is read belongs to nobody.
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(
    null,
    arrays.map(({ buffer }) => buffer),
  );
  port1.close();
  await new Promise<void>((resolve) => {
    port2.once("close", resolve);
    port2.close();
  });
}
