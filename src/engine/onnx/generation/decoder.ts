/** One pass of generation: a program run on new positions, and what it says about the tokens that may follow. */
import { failure } from "../../../errors.ts";
import { shapeKey } from "../batches.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { decodeProgram } from "../programs/decode.ts";
import type { Runtime } from "../runtime.ts";
import { cacheTensors, type FreshPositions, type KeyValueCache } from "./key-value-cache.ts";

export interface Pass {
  readonly batch: number;
  readonly length: number;
  /** Whether the sequences are long ones now (`isLongSequence`); what came before must have been read as such. */
  readonly isLong: boolean;
  /** [batch, length], padded on the right. */
  readonly ids: Int32Array;
  /** [batch] positions of each sequence that are not padding, at least 1. */
  readonly counts: ArrayLike<number>;
  /** The slots that hold what came before: `batch` of them from `first` on; null where the pass begins its sequences. */
  readonly past: { readonly cache: KeyValueCache; readonly first: number } | null;
  /** The most probable tokens of each sequence that are wanted, at most all that are allowed. */
  readonly candidates: number;
  /** Whether the log-sum-exp of all logits is wanted too, for log-probabilities. */
  readonly logSum: boolean;
}

/** What may follow a sequence: ids with their logits, and the log-sum-exp over the whole vocabulary where it was wanted. */
export interface Followers {
  readonly id: Int32Array;
  readonly logit: Float32Array;
  readonly logSum: number | null;
}

export interface PassResult {
  readonly fresh: FreshPositions;
  /** What may follow sequence `b`. */
  readonly followers: (b: number) => Followers;
}

export interface Decoder {
  /** Ids from 0 on that may be drawn. */
  readonly allowed: number;
  run(pass: Pass): Promise<PassResult>;
}

/** `allowed` ids, from 0 on, may be drawn. */
export function openDecoder({ model, resident }: LoadedModel, runtime: Runtime, allowed: number): Decoder {
  const allIds = Int32Array.from({ length: allowed }, (_, id) => id);
  const run = async ({ batch, length, isLong, ids, counts, past, candidates, logSum }: Pass): Promise<PassResult> => {
    const capacity = past?.cache.capacity ?? 0;
    const wanted = `${candidates} of ${allowed}${logSum ? " with their sum" : ""}`;
    const session = await runtime.session(
      `${model.folder}: decode ${shapeKey({ size: batch, length, isLong })} after ${capacity}, ${wanted}`,
      () => decodeProgram(model, { batch, length, isLong, capacity, allowed, candidates, logSum }),
    );
    const outputs = await session.run({
      ...(await resident("panels")),
      ...(past === null ? {} : cacheTensors(past.cache, runtime, past.first, batch)),
      ids: runtime.tensor(ids, [batch, length]),
      last: runtime.tensor(
        Int32Array.from(counts, (count, b) => b * length + count - 1),
        [batch],
      ),
    });
    const logits = outputs.logit!.data as Float32Array;
    const best = outputs.candidate?.data as Int32Array | undefined;
    const sums = outputs.log_sum?.data as Float32Array | undefined;
    return {
      fresh: { data: outputs.fresh!.data as Float32Array, batch, length },
      followers: (b) => {
        const logit = logits.subarray(b * candidates, (b + 1) * candidates);
        if (!Number.isFinite(logit[0])) {
          throw failure(
            model.folder,
            `a token's logits came out as ${logit[0]}; the weights overflow single precision`,
          );
        }
        const id = best?.subarray(b * candidates, (b + 1) * candidates) ?? allIds;
        return { id, logit, logSum: sums?.[b] ?? null };
      },
    };
  };
  return { allowed, run };
}
