/**
 * The models of a server, loaded when they are first asked for. Where memory is short, those that nobody uses are put
 * away, the least recently used one first.
 */
import { suggestion } from "../errors.ts";
import { ApiError } from "./api-error.ts";
import type { ServedModel, ServedReference } from "./served-model.ts";

/** A model while it is used; it stays loaded until all its leases are released. */
export interface Lease {
  readonly model: ServedModel;
  release(): void;
}

export interface ModelPool {
  readonly references: readonly ServedReference[];
  /** Names of those that are loaded. */
  loaded(): readonly string[];
  /** Throws 404 for a name that is not served, and 503 where the models in use leave no memory for it. */
  lease(name: string): Promise<Lease>;
  dispose(): Promise<void>;
}

export interface ModelPoolOptions {
  readonly open: (reference: ServedReference) => Promise<ServedModel>;
  /** Bytes that answering with a model takes. */
  readonly neededBytes: (reference: ServedReference) => Promise<number>;
  /** Bytes that all loaded models may take together. */
  readonly mostBytes: number;
  /** Hears why a model could not be loaded. */
  readonly report: (error: unknown) => void;
}

interface Entry {
  readonly reference: ServedReference;
  readonly bytes: number;
  readonly model: Promise<ServedModel>;
  leases: number;
}

export function openModelPool(references: readonly ServedReference[], options: ModelPoolOptions): ModelPool {
  /** The last one is the most recently used. */
  const entries = new Map<string, Entry>();
  /** Openings wait for each other, so that two of them do not count on the same memory. */
  let turn: Promise<unknown> = Promise.resolve();

  const putAway = async (entry: Entry): Promise<void> => {
    entries.delete(entry.reference.name);
    await (await entry.model.catch(() => null))?.dispose();
  };

  const makeRoom = async (reference: ServedReference, bytes: number): Promise<void> => {
    const taken = (): number => [...entries.values()].reduce((sum, entry) => sum + entry.bytes, 0);
    while (entries.size > 0 && taken() + bytes > options.mostBytes) {
      const idle = [...entries.values()].find(({ leases }) => leases === 0);
      if (idle === undefined) {
        const used = [...entries.keys()].join(", ");
        throw new ApiError(
          503,
          `${reference.name} needs ${(bytes / 1e9).toFixed(1)} GB of memory beside ${used}, which are in use; ask again later`,
          "model_not_loaded",
        );
      }
      await putAway(idle);
    }
  };

  const entryOf = async (reference: ServedReference): Promise<Entry> => {
    const { name } = reference;
    let entry = entries.get(name);
    if (entry === undefined) {
      const bytes = await options.neededBytes(reference);
      await makeRoom(reference, bytes);
      entry = { reference, bytes, model: options.open(reference), leases: 0 };
    }
    entries.delete(name);
    entries.set(name, entry);
    entry.leases++;
    return entry;
  };

  return {
    references,
    loaded: () => [...entries.keys()],
    lease: async (name) => {
      const reference = references.find((one) => one.name === name);
      if (reference === undefined) {
        const names = references.map((one) => one.name);
        throw new ApiError(
          404,
          `the model ${JSON.stringify(name)} is not served${suggestion(name, names)} (there is: ${names.join(", ")})`,
          "model_not_found",
          "model",
        );
      }
      const taken = turn.then(() => entryOf(reference));
      turn = taken.catch(() => {});
      const entry = await taken;
      let isReleased = false;
      const release = (): void => {
        if (!isReleased) entry.leases--;
        isReleased = true;
      };
      try {
        return { model: await entry.model, release };
      } catch (error) {
        release();
        entries.delete(name);
        options.report(error);
        throw new ApiError(
          503,
          `${name} could not be loaded; the server's own output says why`,
          "model_not_loaded",
          "model",
        );
      }
    },
    dispose: async () => {
      await turn;
      for (const entry of [...entries.values()]) await putAway(entry);
    },
  };
}
