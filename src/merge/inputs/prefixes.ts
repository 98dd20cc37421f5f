/**
 * Names that differ by a prefix. A class without its head saves `layers.0.…` where the class with a head saves
 * `model.layers.0.…`, and libraries load either: a model all of whose tensors another one has under one more prefix, or
 * one less, speaks of the same tensors.
 */
import type { InputTensor } from "../adapters/adapted.ts";
import { anatomyOf } from "./anatomy.ts";
import type { MergeInput } from "./input.ts";

/** `input` with the names of `reference`, where the two differ by a prefix alone; else as it is. */
export function withNamesOf(reference: MergeInput, input: MergeInput): MergeInput {
  if (input === reference) return input;
  const theirs = [...reference.tensors.keys()];
  const own = [...input.tensors.keys()].filter((name) => name !== input.anatomy.head);
  if (own.length === 0 || own.some((name) => reference.tensors.has(name))) return input;
  for (const prefix of prefixesOf([...theirs, ...own])) {
    const adding = own.every((name) => reference.tensors.has(prefix + name));
    const removing =
      !adding && own.every((name) => name.startsWith(prefix) && reference.tensors.has(name.slice(prefix.length)));
    if (!adding && !removing) continue;
    const rename = (name: string): string => {
      if (name === input.anatomy.head) return name;
      return adding ? prefix + name : name.slice(prefix.length);
    };
    const tensors = new Map([...input.tensors].map(([name, info]): [string, InputTensor] => [rename(name), info]));
    const verb = adding ? "without" : "with";
    const message = `${input.name}: its tensors are those of ${reference.name} ${verb} the prefix ${JSON.stringify(prefix)}`;
    return {
      ...input,
      tensors,
      anatomy: anatomyOf(tensors, input.config),
      warnings: [...input.warnings, message],
    };
  }
  return input;
}

/** What names begin with, up to a dot. */
function prefixesOf(names: readonly string[]): ReadonlySet<string> {
  const prefixes = new Set<string>();
  for (const name of names) {
    for (let dot = name.indexOf("."), found = 0; dot >= 0 && found < MOST_WORDS; dot = name.indexOf(".", dot + 1)) {
      prefixes.add(name.slice(0, dot + 1));
      found++;
    }
  }
  return prefixes;
}

/** Longest prefix in words: `model.language_model.`. */
const MOST_WORDS = 2;
