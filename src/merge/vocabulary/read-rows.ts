/**
 * Reading of tensors that were brought to another vocabulary: consecutive rows of the file in one go, filled rows one
 * by one. Nothing of a tensor's size is held.
 */
import type { ReadEntries } from "../read-entries.ts";
import type { RowFill, RowMap, StoredRow } from "../stored-tensor.ts";

export interface RowReader {
  /** Fills `values` with the entries of the aligned tensor from `start` on. */
  read(rows: RowMap, start: number, values: Float64Array): Promise<void>;
}

export function createRowReader(readEntries: ReadEntries): RowReader {
  const means = new Map<RowMap, Promise<Float64Array>>();

  /** The mean of the rows that are tokens of the output. */
  const meanRow = async ({ stored, own, fills }: RowMap, entries: number): Promise<Float64Array> => {
    const sum = new Float64Array(entries);
    const row = new Float64Array(entries);
    let count = 0;
    for (const [at, id] of own.entries()) {
      const fill = fills.get(at);
      if (fill === "mean") continue;
      if (fill === undefined) await readEntries(stored, id * entries, row);
      else row.set(await filledRow(fill, entries));
      for (let i = 0; i < entries; i++) sum[i]! += row[i]!;
      count++;
    }
    return sum.map((value) => value / Math.max(1, count));
  };

  const filledRow = async (fill: readonly StoredRow[], entries: number): Promise<Float64Array> => {
    const sum = new Float64Array(entries);
    const row = new Float64Array(entries);
    for (const { tensor, row: id } of fill) {
      await readEntries(tensor, id * entries, row);
      for (let i = 0; i < entries; i++) sum[i]! += row[i]! / fill.length;
    }
    return sum;
  };

  const filled = async (map: RowMap, fill: RowFill, entries: number): Promise<Float64Array> => {
    if (fill !== "mean") return filledRow(fill, entries);
    const mean = means.get(map) ?? meanRow(map, entries);
    means.set(map, mean);
    return mean;
  };

  return {
    read: async (map, start, values) => {
      const { stored, own, fills } = map;
      const entries = stored.shape.slice(1).reduce((product, extent) => product * extent, 1);
      const end = start + values.length;
      for (let at = start; at < end; ) {
        const row = Math.floor(at / entries);
        const within = at - row * entries;
        if (own[row]! < 0) {
          const count = Math.min(entries - within, end - at);
          const whole = await filled(map, fills.get(row)!, entries);
          values.set(whole.subarray(within, within + count), at - start);
          at += count;
          continue;
        }
        // As far as the file's rows follow each other as the output's do.
        let last = row + 1;
        while (last * entries < end && own[last]! === own[last - 1]! + 1) last++;
        const stop = Math.min(end, last * entries);
        await readEntries(stored, own[row]! * entries + within, values.subarray(at - start, stop - start));
        at = stop;
      }
    },
  };
}
