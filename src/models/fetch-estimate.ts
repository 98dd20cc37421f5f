/** How long what is not here yet will take to come. */
import type { HubId } from "../hub/id.ts";
import type { Hub } from "./hub.ts";

export interface FetchEstimate {
  readonly models: readonly {
    /** `org/name@commit` */
    readonly model: string;
    /** Of weights. */
    readonly files: number;
    readonly bytes: number;
    /** Bytes that are not here yet. */
    readonly missing_bytes: number;
  }[];
  readonly from: string;
  readonly missing_bytes: number;
  readonly seconds: number;
  /** What the time rests on, for people. */
  readonly rate: string;
}

/** A line of 100 megabits; nothing has come yet that would tell. */
const ASSUMED_RATE = 12.5e6;

export async function estimateFetch(hub: Hub, ids: readonly HubId[]): Promise<FetchEstimate> {
  const models: FetchEstimate["models"][number][] = [];
  const files = new Map<string, number>();
  for (const id of ids) {
    const { name, weights, missing } = await hub.outline(id);
    if (models.some(({ model }) => model === name)) continue;
    models.push({ model: name, files: weights.files, bytes: weights.bytes, missing_bytes: sum(missing.values()) });
    // Commits of one model share the files that are the same.
    for (const [hash, bytes] of missing) files.set(`${id.repo} ${hash}`, bytes);
  }
  const missing = sum(files.values());
  const measured = hub.rate();
  const rate = measured ?? ASSUMED_RATE;
  const speed = `${(rate / 1e6).toFixed(1)} MB/s`;
  return {
    models,
    from: hub.host,
    missing_bytes: missing,
    seconds: missing / rate,
    rate: measured === undefined ? `assumed ${speed}` : `measured ${speed}`,
  };
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
