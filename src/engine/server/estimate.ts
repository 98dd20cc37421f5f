/** What asking a server takes here: a process that waits for replies. How fast the server is, only the server knows. */
import { internalError } from "../../errors.ts";
import type { Estimate } from "../estimate.ts";
import { PROCESS_BYTES } from "../onnx/memory.ts";
import { type ServerKindName, serverKind } from "./kinds/index.ts";
import { REQUEST_TOKENS } from "./rows.ts";
import type { ServerSettings } from "./settings.ts";

/** Of a candidate in a reply, its text included: once as it comes in pieces, once as a whole. */
const REPLY_BYTES = 2 * 80;
/** A template's thread, a shard, and what the collector has not yet found of replies. */
const BESIDE_BYTES = 150e6;
/** A tokenizer takes about so much a token (203 MB for 151,665). */
const TOKEN_BYTES = 1100;

export function estimateServer(
  { kind, concurrency }: ServerSettings & { readonly kind: ServerKindName },
  availableBytes: number,
): Estimate {
  return {
    processes: 1,
    availableBytes,
    memory: "memory",
    basis: `how long a ${serverKind(kind).title} server takes, only it knows`,
    passes: ({ sizes }, { topK }) => ({
      memoryBytes:
        PROCESS_BYTES +
        BESIDE_BYTES +
        TOKEN_BYTES * sizes.vocabularySize +
        concurrency * REQUEST_TOKENS * (topK + 1) * REPLY_BYTES,
      seconds: null,
      workBytes: 0,
      advice: null,
    }),
    training: () => {
      throw internalError("a server is asked to train");
    },
  };
}
