/** The second walk over an alignment: all units are written, and their figures added up in the order of the data. */
import { shardName } from "../distributions/folder.ts";
import type { TokenTable } from "../tokenizer/tokenizer.ts";
import { exampleRows, type WorkedExample, workedExample } from "./examples/examples.ts";
import { type Passage, passageOf } from "./examples/passages.ts";
import type { TransferTotals } from "./transfer.ts";
import type { UnitPool } from "./units/unit-pool.ts";
import type { Unit } from "./units/units.ts";
import type { WritePlan } from "./units/write-unit.ts";

export interface WrittenAlignment {
  readonly totals: TransferTotals;
  readonly examples: readonly WorkedExample[];
  readonly passages: readonly Passage[];
  /** Sums over all conversations of each model's own rows. */
  readonly pivotNats: number;
  readonly sourceNats: number;
  readonly pivotBytes: number;
  readonly sourceBytes: number;
  /** Conversations that the source predicts in fewer nats per byte than the pivot. */
  readonly sourceBetter: number;
  /** Rows within a token of the source that have a distribution. */
  readonly withinRows: number;
}

const EXAMPLES = 20;
const PASSAGES = 3;

/** `sharedRows` has the number of each unit, as the survey found it. */
export async function writeAlignedFolder(
  pool: UnitPool,
  units: readonly Unit[],
  sharedRows: readonly number[],
  plan: WritePlan,
  tokens: { readonly pivot: TokenTable; readonly source: TokenTable },
  onUnit: () => void,
): Promise<WrittenAlignment> {
  const rows = sharedRows.reduce((sum, count) => sum + count, 0);
  const wanted = { examples: exampleRows(rows, EXAMPLES), passages: exampleRows(rows, PASSAGES) };
  let before = 0;
  const requests = units.map((unit, index) => {
    const from = before;
    before += sharedRows[index]!;
    const within = (numbers: readonly number[]): number[] =>
      numbers.filter((row) => from <= row && row < before).map((row) => row - from);
    const ofUnit = { examples: within(wanted.examples), passages: within(wanted.passages) };
    return { unit, name: shardName(index), wanted: ofUnit };
  });
  await pool.all((work) => work.plan(plan));
  const written = await pool.each(units.length, async (work, index) => {
    const result = await work.write(requests[index]!);
    onUnit();
    return result;
  });

  const sums = { pivotNats: 0, sourceNats: 0, pivotBytes: 0, sourceBytes: 0, sourceBetter: 0, withinRows: 0 };
  const totals: TransferTotals = { stored: 0, placed: 0, cut: 0, emptyRows: 0 };
  for (const { pivotNats, sourceNats, pivotBytes, sourceBytes, withinRows, ...transferred } of written.flatMap(
    (unit) => unit.totals,
  )) {
    for (const key of Object.keys(totals) as (keyof TransferTotals)[]) totals[key] += transferred[key];
    sums.pivotNats += pivotNats;
    sums.sourceNats += sourceNats;
    sums.pivotBytes += pivotBytes;
    sums.sourceBytes += sourceBytes;
    sums.withinRows += withinRows;
    if (sourceNats / sourceBytes < pivotNats / pivotBytes) sums.sourceBetter++;
  }
  const { pivot, source } = tokens;
  return {
    totals,
    examples: written.flatMap((unit) => unit.examples).map((row) => workedExample(row, pivot, source)),
    passages: written.flatMap((unit) => unit.passages).map((rows) => passageOf(rows, pivot, source)),
    ...sums,
  };
}
