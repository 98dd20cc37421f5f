/** The header of a safetensors file that is not here, by range requests: a hundred bytes a tensor, whatever its size. */
import { inputError } from "../errors.ts";
import { MAX_HEADER_BYTES, parseHeader, type SafetensorsHeader } from "../formats/safetensors-header.ts";
import { type HubConnection, Unavailable } from "./connection.ts";
import { addressOf, type RemoteFile, type RemoteModel } from "./listing.ts";
import { persist } from "./patience.ts";
import { open } from "./request.ts";

const LENGTH_BYTES = 8;
/** The first request: most headers of shards are shorter. */
const FIRST_BYTES = 1 << 16;

/** `path` is where the file will be: its tensors are said to lie there. */
export async function readRemoteHeader(
  connection: HubConnection,
  model: Pick<RemoteModel, "repo" | "commit">,
  file: RemoteFile,
  path: string,
): Promise<SafetensorsHeader> {
  const what = `${model.repo}: ${file.path}`;
  const first = await readBeginning(connection, model, file, Math.min(FIRST_BYTES, file.size));
  if (first.byteLength < LENGTH_BYTES) {
    throw inputError(what, `expected a safetensors file, found only ${file.size} bytes`);
  }
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES) || length > BigInt(file.size - LENGTH_BYTES)) {
    throw inputError(what, `the header at byte 0 claims ${length} bytes, which neither the format nor the file allows`);
  }
  const end = LENGTH_BYTES + Number(length);
  const bytes = end <= first.byteLength ? first : await readBeginning(connection, model, file, end);
  return parseHeader(path, bytes.subarray(LENGTH_BYTES, end), file.size);
}

/** The first `count` bytes of a file; a server that takes no ranges is left once they have come. */
async function readBeginning(
  connection: HubConnection,
  model: Pick<RemoteModel, "repo" | "commit">,
  file: RemoteFile,
  count: number,
): Promise<Uint8Array> {
  const what = `${model.repo}: ${file.path}`;
  if (count === 0) return new Uint8Array(0);
  return persist(connection, what, async () => {
    const headers = { range: `bytes=0-${count - 1}` };
    const reply = await open(connection, what, addressOf(connection, model, file.path), { headers });
    const bytes = new Uint8Array(count);
    let done = 0;
    try {
      for await (const chunk of reply.chunks()) {
        const taken = chunk.subarray(0, count - done);
        bytes.set(taken, done);
        done += taken.byteLength;
        if (done === count) break;
      }
    } finally {
      reply.close();
    }
    if (done < count) throw new Unavailable(`it ends after ${done} of ${count} bytes`);
    return bytes;
  });
}
