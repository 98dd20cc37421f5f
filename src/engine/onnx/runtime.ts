/**
 * ONNX Runtime: loading the native package, and a cache of sessions. Sessions are cut for one shape each and take
 * their weights as inputs, so they stay valid while training changes the weights.
 */
import type { InferenceSession, Tensor } from "onnxruntime-node";
import { FusechatError, failure, reasonOf } from "../../errors.ts";
import type { LoweredGraph } from "../../graph/lower.ts";
import { type NativeGate, throughGate } from "./native-gate.ts";

type Package = typeof import("onnxruntime-node");

/** Named tensors, in and out. */
export type Tensors = Readonly<Record<string, Tensor>>;

export interface Runtime {
  tensor(data: Float32Array | Int32Array, shape: readonly number[]): Tensor;
  /**
   * The session of this key, from the cache or built. A program's shapes are part of its key. `limit` sessions are
   * kept, the least recently used one is given up first.
   */
  session(key: string, build: () => LoweredGraph): Promise<Session>;
  /** Gives up the sessions whose key begins so. */
  release(prefix: string): Promise<void>;
}

export interface Session {
  /**
   * Runs once. `inputs` may hold more than the program reads. Outputs are the binding's copies, which wait for the
   * collector; large ones are better given back (`discard.ts`).
   */
  run(inputs: Tensors): Promise<Tensors>;
}

/**
 * Sessions kept, 2-7 MB each: as many as a training on mixed lengths needs, since building one takes as long as running
 * it (75-135 ms of processor time). With 32 of them half of all micro-batches built theirs anew.
 */
export const SESSION_LIMIT = 128;

/** 5 and 10 gain less, 50 no more. */
const SPIN_MICROSECONDS = "20";

/** Loads the package. `threads` null leaves the number to the runtime: one a physical core. */
export async function loadRuntime(
  threads: number | null,
  gate: NativeGate,
  limit: number = SESSION_LIMIT,
): Promise<Runtime> {
  const { InferenceSession, Tensor } = await loadPackage();
  const options: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    // Every session would have an arena of its own and keep its peak for good: after eight shapes of 2,048 positions
    // 2,470 MB with arenas, 550 MB without, for at most 8 % more time (3.5 M parameters, training).
    enableCpuMemArena: false,
    // A pattern of all activations would be allocated at once.
    enableMemPattern: false,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: 3,
    // Threads that wait for the next operation spin this long before they sleep. Waking one takes longer than its part of a
    // token's small products: without spinning a step of 135 million parameters takes 33 to 39 ms instead of 29 to 31. With no end of it,
    // threads take the cores from whoever else wants them: 60 to 120 ms then, instead of 57 with this and without.
    extra: {
      session: { intra_op: { allow_spinning: "1", spin_duration_us: SPIN_MICROSECONDS }, force_spinning_stop: "1" },
    },
    ...(threads === null ? {} : { intraOpNumThreads: threads }),
  };
  const kept = new Map<string, { native: InferenceSession; session: Session }>();

  // A function of its own, so that no session keeps the bytes it was made from: 0.5 to 10 MB each.
  const create = async (key: string, { onnx, inputs, outputs }: LoweredGraph) => {
    const native = await guard(key, gate, () => InferenceSession.create(onnx, options));
    return { native, inputs, outputs };
  };
  const giveUp = async (key: string): Promise<void> => {
    const entry = kept.get(key);
    kept.delete(key);
    await entry?.native.release();
  };
  return {
    tensor: (data, shape) =>
      data instanceof Int32Array ? new Tensor("int32", data, shape) : new Tensor("float32", data, shape),
    session: async (key, build) => {
      const known = kept.get(key);
      if (known !== undefined) {
        kept.delete(key);
        kept.set(key, known);
        return known.session;
      }
      while (kept.size >= limit) await giveUp(kept.keys().next().value!);
      const { native, inputs: reads, outputs: writes } = await create(key, build());
      const session: Session = {
        run: (inputs) => {
          const feeds = Object.fromEntries(reads.map((name) => [name, inputs[name]!]));
          return guard(key, gate, () => native.run(feeds, writes));
        },
      };
      kept.set(key, { native, session });
      return session;
    },
    release: async (prefix) => {
      for (const key of [...kept.keys()]) if (key.startsWith(prefix)) await giveUp(key);
    },
  };
}

async function loadPackage(): Promise<Package> {
  try {
    return await import("onnxruntime-node");
  } catch (error) {
    throw missingRuntime(error);
  }
}

/** Why the embedded engine is not there, and what helps. */
export function missingRuntime(
  error: unknown,
  platform: string = `${process.platform}-${process.arch}`,
): FusechatError {
  const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
  const advice =
    platform === "darwin-x64"
      ? "it has no build for macOS on Intel processors; use Linux, Windows or a Mac with Apple silicon"
      : "install it with ONNXRUNTIME_NODE_INSTALL=skip npm install (the CPU build is inside the package)";
  return failure("onnxruntime-node", `could not be loaded on ${platform} (${reason}); ${advice}`, error);
}

/** One native call; what the runtime throws becomes a sentence. */
async function guard<T>(key: string, gate: NativeGate, call: () => Promise<T>): Promise<T> {
  try {
    return await throughGate(gate, call);
  } catch (error) {
    if (error instanceof FusechatError) throw error;
    const message = reasonOf(error);
    if (/alloc/i.test(message)) {
      throw failure("engine", `out of memory in ${key}; a smaller max_length or model needs less`, error);
    }
    throw failure("engine", `ONNX Runtime failed in ${key}: ${message}`, error);
  }
}
