/**
 * Tensors that some checkpoints hold twice: T5 and its kin share one embedding between encoder, decoder and `shared`,
 * and it depends on the version of a library how often it is saved. A copy that not every model has is left out, for
 * whoever loads the result shares it again.
 */
import { anatomyOf } from "./anatomy.ts";
import type { MergeInput } from "./input.ts";
import { haveSameBytes } from "./same-bytes.ts";

export async function dropCopies(inputs: readonly MergeInput[]): Promise<readonly MergeInput[]> {
  const dropped = new Set<string>();
  const names = new Set(
    inputs.flatMap(({ anatomy: { vocabulary, head } }) => [...vocabulary].filter((n) => n !== head)),
  );
  for (const name of names) {
    const owners = inputs.filter(({ tensors }) => tensors.has(name));
    if (owners.length === inputs.length) continue;
    const common = [...owners[0]!.anatomy.vocabulary].filter((other) =>
      inputs.every(({ tensors }) => other !== name && tensors.has(other)),
    );
    for (const other of common) {
      if (await areCopies(owners, name, other)) dropped.add(name);
    }
  }
  if (dropped.size === 0) return inputs;
  return inputs.map((input) => {
    const tensors = new Map([...input.tensors].filter(([name]) => !dropped.has(name)));
    return { ...input, tensors, anatomy: anatomyOf(tensors, input.config) };
  });
}

async function areCopies(owners: readonly MergeInput[], name: string, other: string): Promise<boolean> {
  for (const { tensors } of owners) {
    if (!(await haveSameBytes(tensors.get(name)!, tensors.get(other)!))) return false;
  }
  return true;
}
