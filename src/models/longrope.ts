/**
 * LongRoPE (Ding et al. 2024, section 3.3) as Phi-3 and Phi-4 have it: every frequency is divided by a factor of its own,
 * from one list for sequences up to the original context and from another for longer ones. All positions of a sequence
 * turn by the same list. Cosines and sines grow by a factor that both have.
 */
import { excerptOf } from "../excerpt.ts";
import type { ConfigFields } from "./config-fields.ts";
import type { RotaryKind } from "./rotary-kind.ts";

export const longrope: RotaryKind = {
  fields: ["short_factor", "long_factor", "original_max_position_embeddings"],
  scale: (plain, section, { base, maxPositions }, config) => {
    const original = readOriginal(section, config);
    const most = maxPositions ?? config.refuse("max_position_embeddings", "longrope scales by it; the config has none");
    const pairs = plain.frequencies.length;
    const divided = (name: string): Float32Array => {
      const factors = readFactors(section, name, pairs);
      const f = Math.fround;
      return Float32Array.from(factors, (factor, i) => 1 / f(f(factor) * f(base ** f(i / pairs))));
    };
    const stretch = most / original;
    const factor = stretch <= 1 ? 1 : Math.sqrt(1 + Math.log(stretch) / Math.log(original));
    return {
      ...plain,
      frequencies: divided("short_factor"),
      long: { after: original, frequencies: divided("long_factor") },
      factor,
      key: `${plain.key}/longrope`,
    };
  },
};

/** Phi's configs have it outside of the section; transformers 5 writes it in both places. */
function readOriginal(section: ConfigFields, config: ConfigFields): number {
  const name = "original_max_position_embeddings";
  if (section.value(name) === undefined) return config.count(name);
  const original = section.count(name);
  const outside = config.value(name) ?? original;
  if (outside !== original) {
    config.refuse(name, `is ${excerptOf(outside)} here and ${original} among the rotary fields`);
  }
  return original;
}

function readFactors(section: ConfigFields, name: string, pairs: number): readonly number[] {
  const factors = section.value(name);
  const isList = Array.isArray(factors) && factors.every((factor) => Number.isFinite(factor) && factor > 0);
  if (!isList || factors.length !== pairs) {
    section.refuse(name, `expected ${pairs} numbers above 0, found ${excerptOf(factors)}`);
  }
  return factors;
}
