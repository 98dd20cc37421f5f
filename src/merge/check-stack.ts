/**
 * Whether layers of several models fit on one another. The result has the config of one model, and whoever loads it
 * expects that model's tensors in that model's shapes: other widths, rows or tensors make a folder that does not load.
 * Layers may differ within a model, as in hybrid ones; a layer from elsewhere must be like one of them.
 */
import { inputError } from "../errors.ts";
import type { MergeInput } from "./inputs/input.ts";
import { layerPlace } from "./layers.ts";
import { outputShape, type TensorPlan } from "./tensor-plan.ts";

/** `donor` gives the config. Throws with the first tensor that its class would not take. */
export function checkStack(tensors: readonly TensorPlan[], donor: MergeInput): void {
  const { layered, outside, everywhere } = shapesOf(donor);
  const { stack, vocabulary, head } = donor.anatomy;
  const restsOf = new Map<number, Set<string>>();
  for (const tensor of tensors) {
    const place = layerPlace(tensor.name);
    const isLayered = place?.stack === stack && place !== undefined;
    if (isLayered) restsOf.set(place.layer, (restsOf.get(place.layer) ?? new Set()).add(place.rest));
    const expected = isLayered ? layered.get(place.rest) : outside.get(tensor.name);
    // Rows are compared with one another below: they may be those of another vocabulary.
    const skipped = !isLayered && (vocabulary.has(tensor.name) || tensor.name === head) ? 1 : 0;
    const shape = outputShape(tensor);
    const fits = expected?.some((other) => other.slice(skipped).join() === shape.slice(skipped).join());
    if (fits === true || (expected === undefined && !isLayered)) continue;
    const wanted =
      expected === undefined ? "no such tensor" : expected.map((other) => `[${other.join(", ")}]`).join(" or ");
    throw inputError(
      JSON.stringify(tensor.name),
      `expected ${wanted}, as ${donor.name} has it, whose config the result takes; found [${shape.join(", ")}] in ${originOf(tensor)}`,
    );
  }
  for (const [layer, rests] of [...restsOf].sort(([a], [b]) => a - b)) {
    const missing = everywhere.find((rest) => !rests.has(rest));
    if (missing === undefined) continue;
    throw inputError(
      `layer ${layer} of the output`,
      `expected the tensor ${JSON.stringify(missing)}, which all layers of ${donor.name} have, whose config the result takes; found none`,
    );
  }
  checkRows(tensors, donor);
}

/** Embedding and head have a row for every token, so they have equally many. */
function checkRows(tensors: readonly TensorPlan[], { anatomy }: MergeInput): void {
  const tables = tensors.filter(({ name }) => anatomy.vocabulary.has(name) || name === anatomy.head || isHead(name));
  const first = tables[0];
  const other = tables.find((table) => outputShape(table)[0] !== outputShape(first!)[0]);
  if (first === undefined || other === undefined) return;
  const shape = (table: TensorPlan): string => `[${outputShape(table).join(", ")}] of ${originOf(table)}`;
  throw inputError(
    JSON.stringify(other.name),
    `expected as many rows as ${JSON.stringify(first.name)}, ${shape(first)}, found ${shape(other)}; say with tokenizer which vocabulary the result has`,
  );
}

/** What a stack of tied models gets. */
function isHead(name: string): boolean {
  return name.endsWith("lm_head.weight");
}

function originOf({ models, copied }: TensorPlan): string {
  return (copied ?? models[0]!).input;
}

interface DonorShapes {
  /** Shapes of the tensors of its layers, by what follows the layer's number. */
  readonly layered: ReadonlyMap<string, readonly (readonly number[])[]>;
  readonly outside: ReadonlyMap<string, readonly (readonly number[])[]>;
  /** What follows the number in every layer. */
  readonly everywhere: readonly string[];
}

function shapesOf({ tensors, anatomy: { stack, layers } }: MergeInput): DonorShapes {
  const layered = new Map<string, (readonly number[])[]>();
  const outside = new Map<string, (readonly number[])[]>();
  const counts = new Map<string, number>();
  for (const [name, { shape }] of tensors) {
    const place = layerPlace(name);
    const isLayered = place !== undefined && place.stack === stack;
    const key = isLayered ? place.rest : name;
    const shapes = (isLayered ? layered : outside).get(key) ?? [];
    if (!shapes.some((other) => other.join() === shape.join())) shapes.push(shape);
    (isLayered ? layered : outside).set(key, shapes);
    if (isLayered) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return { layered, outside, everywhere: [...counts].flatMap(([rest, count]) => (count === layers ? [rest] : [])) };
}
