/** What the process does in which foreign containers are read: it hands out the records of one file, batch by batch. */
import { arrow } from "./arrow.ts";
import type { Container, Found } from "./container.ts";
import { parquet } from "./parquet.ts";
import { sourceOf } from "./source.ts";

/** Those that a library reads, in whose hands the numbers of a damaged file are sizes. */
const IN_PROCESS: readonly Container[] = [parquet, arrow];

export interface ContainerWork {
  /** Begins a file; one is read at a time. */
  open(request: { readonly container: string; readonly path: string }): Promise<void>;
  /** The next records; none at the end. */
  next(): Promise<readonly Found[]>;
}

/** Records of a batch, and the characters of its texts, about: enough to make a message's own cost small. */
const RECORDS = 256;
const CHARACTERS = 1 << 20;

export function createContainerWork(): ContainerWork {
  let records: AsyncIterator<readonly Found[]> | undefined;
  return {
    open: async ({ container, path }) => {
      // Of a file that was not read to its end.
      await records?.return?.();
      records = IN_PROCESS.find(({ name }) => name === container)!
        .records(sourceOf(path))
        [Symbol.asyncIterator]();
    },
    next: async () => {
      const batch: Found[] = [];
      let characters = 0;
      while (records !== undefined && batch.length < RECORDS && characters < CHARACTERS) {
        const next = await records.next();
        if (next.done === true) {
          records = undefined;
          break;
        }
        for (const found of next.value) {
          batch.push(found);
          characters += charactersOf(found.record);
        }
      }
      return batch;
    },
  };
}

/** Records of columns are a few levels deep, `column-values.ts` sees to that. */
function charactersOf(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, inner) => sum + charactersOf(inner), 0);
}
