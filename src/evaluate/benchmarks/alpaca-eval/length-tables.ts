/**
 * The two tables of the length-controlled win rate: how hard each instruction is (`instruction_difficulty.csv`), and
 * what the judge said of the baseline against wordier and shorter versions of itself (`df_gamed.csv`), which teach the
 * model what length alone is worth. Both come with the benchmark, and only for its own baseline and judge.
 */
import { inputError } from "../../../errors.ts";
import { readText } from "../../../formats/files.ts";

export interface LengthTables {
  /** `[instructions]`, in the benchmark's order. */
  readonly difficulty: Float64Array;
  /** Rows of the other table, in its order, which the cross-validation's folds go by. */
  readonly gamed: readonly GamedRow[];
  /** Versions of the baseline in it. */
  readonly gamedModels: number;
}

export interface GamedRow {
  /** Probability that the judge prefers the version to the baseline. */
  readonly preference: number;
  /** Place of the instruction. */
  readonly index: number;
  /** Length of the baseline's answer minus the version's, in standard deviations. */
  readonly lengthDifference: number;
}

const DIFFERENCE_BY_ROUNDING = 1e-9;

export async function readLengthTables(difficultyPath: string, gamedPath: string): Promise<LengthTables> {
  const difficulty = await readDifficulty(difficultyPath);
  const seen = new Set<string>();
  const models = new Set<string>();
  const columns = ["preference", "index", "std_delta_len", "instruction_difficulty", "not_gamed_baseline", "model"];
  const gamed: GamedRow[] = [];
  for (const { where, field } of await readTable(gamedPath, columns)) {
    const preference = numberOf(where, "preference", field("preference"));
    if (preference < 0 || preference > 1) {
      throw inputError(where, `expected a preference from 0 to 1, found ${preference}`);
    }
    const index = indexOf(where, field("index"), difficulty.length);
    const itsDifficulty = numberOf(where, "instruction_difficulty", field("instruction_difficulty"));
    if (Math.abs(itsDifficulty - difficulty[index]!) > DIFFERENCE_BY_ROUNDING) {
      throw inputError(
        where,
        `instruction ${index} has difficulty ${itsDifficulty} here and ${difficulty[index]} in ${difficultyPath}; the two files are not of one benchmark`,
      );
    }
    if (field("not_gamed_baseline") !== "False") {
      throw inputError(
        where,
        `expected not_gamed_baseline to be False, found ${JSON.stringify(field("not_gamed_baseline"))}`,
      );
    }
    const row = `${field("model")} and index ${index}`;
    if (seen.has(row)) throw inputError(where, `the row of ${row} comes twice`);
    seen.add(row);
    models.add(field("model"));
    gamed.push({ preference, index, lengthDifference: numberOf(where, "std_delta_len", field("std_delta_len")) });
  }
  return { difficulty, gamed, gamedModels: models.size };
}

async function readDifficulty(path: string): Promise<Float64Array> {
  const difficulty: number[] = [];
  for (const { where, field } of await readTable(path, ["index", "instruction_difficulty"])) {
    const index = indexOf(where, field("index"), Number.POSITIVE_INFINITY);
    if (index !== difficulty.length) throw inputError(where, `expected index ${difficulty.length}, found ${index}`);
    difficulty.push(numberOf(where, "instruction_difficulty", field("instruction_difficulty")));
  }
  return Float64Array.from(difficulty);
}

interface TableRow {
  /** `file:line`. */
  readonly where: string;
  field(column: string): string;
}

/** A CSV file with these columns, in any order, and no quotes. */
async function readTable(path: string, columns: readonly string[]): Promise<TableRow[]> {
  const [header = "", ...lines] = (await readText(path)).split(/\r?\n/);
  const found = header.split(",");
  const missing = columns.filter((column) => !found.includes(column));
  if (missing.length > 0) {
    throw inputError(`${path}:1`, `expected the columns ${columns.join(", ")}; ${missing.join(", ")} not found`);
  }
  if (lines.at(-1) === "") lines.pop();
  if (lines.length === 0) throw inputError(path, "expected rows below the names of the columns, found none");
  return lines.map((line, number) => {
    const fields = line.split(",");
    const where = `${path}:${number + 2}`;
    if (fields.length !== found.length) {
      throw inputError(where, `expected ${found.length} fields, found ${fields.length}`);
    }
    return { where, field: (column) => fields[found.indexOf(column)]! };
  });
}

function numberOf(where: string, column: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw inputError(where, `expected a number for ${column}, found ${JSON.stringify(text)}`);
  }
  return value;
}

function indexOf(where: string, text: string, count: number): number {
  const value = numberOf(where, "index", text);
  if (Number.isInteger(value) && value >= 0 && value < count) return value;
  throw inputError(where, `expected an index from 0 to ${count - 1}, found ${JSON.stringify(text)}`);
}
