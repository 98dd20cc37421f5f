/**
 * Which row of which model each row of the output takes, before anything is merged: the model's own row of the token;
 * where it has none, that of the token's only owner, else that of base_model, else the mean of all owners'; where nobody
 * has it, zeros. `tokens` of the configuration says otherwise. Rows of padding are the mean of the model's others.
 */
import { inputError } from "../../errors.ts";
import type { RowFill, StoredRow, StoredTensor } from "../stored-tensor.ts";
import type { OutputVocabulary } from "./output-vocabulary.ts";

/** The tensors of all models, by the rows of the output's vocabulary. */
export function alignRows(
  tensors: readonly StoredTensor[],
  vocabulary: OutputVocabulary,
  name: string,
): readonly StoredTensor[] {
  const fallback = createFallback(tensors, vocabulary, name);
  return tensors.map((stored) => {
    const known = vocabulary.inputs.get(stored.input)!;
    const own = new Int32Array(vocabulary.rows).fill(-1);
    const fills = new Map<number, RowFill>();
    for (let row = 0; row < vocabulary.rows; row++) fills.set(row, "mean");
    for (const [token, row] of vocabulary.tokens) {
      const id = known.get(token) ?? -1;
      const setting = vocabulary.setting.tokens?.[token];
      if (id >= 0 && id < stored.shape[0]! && setting?.force !== true) {
        own[row] = id;
        fills.delete(row);
      } else fills.set(row, fallback(token));
    }
    if (fills.size === 0 && own.length === stored.shape[0] && own.every((id, row) => id === row)) return stored;
    const shape = stored.shape.with(0, vocabulary.rows);
    return { ...stored, shape, dtype: "F64", mergeDtype: "float64", rows: { stored, own, fills } };
  });
}

/** The rows that models without a token take, by token. */
function createFallback(
  tensors: readonly StoredTensor[],
  { inputs, base, setting }: OutputVocabulary,
  name: string,
): (token: string) => RowFill {
  const place = `${JSON.stringify(name)}: tokenizer.tokens`;
  const of = (model: string): StoredTensor => {
    const tensor = tensors.find(({ input }) => input === model);
    if (tensor === undefined) throw inputError(place, `expected a model of the merge, found ${JSON.stringify(model)}`);
    return tensor;
  };
  const rowOf = (tensor: StoredTensor, id: number | undefined): StoredRow | undefined =>
    id === undefined || id >= tensor.shape[0]! ? undefined : { tensor, row: id };
  const demand = (row: StoredRow | undefined, what: string, model: string): readonly StoredRow[] => {
    if (row === undefined) throw inputError(place, `expected ${what} in ${JSON.stringify(model)}, found none`);
    return [row];
  };
  const cache = new Map<string, RowFill>();
  const find = (token: string): RowFill => {
    const source = setting.tokens?.[token]?.source;
    if (typeof source === "string") {
      return demand(rowOf(of(source), inputs.get(source)?.get(token)), `a row of ${JSON.stringify(token)}`, source);
    }
    if (source?.kind === "zero") return [];
    if (source?.kind === "model_token") {
      const { model, token: spelled, token_id: given } = source;
      const what = given === undefined ? `a row of ${JSON.stringify(spelled)}` : `the row ${given}`;
      return demand(rowOf(of(model), given ?? inputs.get(model)?.get(spelled!)), what, model);
    }
    const owners: StoredRow[] = [];
    for (const tensor of tensors) {
      const row = rowOf(tensor, inputs.get(tensor.input)!.get(token));
      if (row === undefined) continue;
      if (tensor.input === base) return [row];
      owners.push(row);
    }
    return owners;
  };
  return (token) => {
    let fill = cache.get(token);
    if (fill === undefined) {
      fill = find(token);
      cache.set(token, fill);
    }
    return fill;
  };
}
