/**
 * YaRN (Peng et al. 2023, sections 3.2 and 3.4): what turns often within the original context stays, what turns less than
 * once is stretched by the factor, and between them a ramp goes from one to the other. Cosines and sines grow with the
 * factor, so that attention stays as sharp over more positions.
 */
import type { ConfigFields } from "./config-fields.ts";
import type { RotaryKind } from "./rotary-kind.ts";

/** Turns within the original context from which on nothing changes, and up to which all is stretched. */
const DEFAULT_BETA_FAST = 32;
const DEFAULT_BETA_SLOW = 1;

export const yarn: RotaryKind = {
  fields: [
    "factor",
    "original_max_position_embeddings",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "truncate",
  ],
  scale: (plain, section, { base, maxPositions }) => {
    const { frequencies } = plain;
    const turned = 2 * frequencies.length;
    const stretch = section.atLeast("factor", 1);
    const original = section.count("original_max_position_embeddings", maxPositions ?? undefined);
    const fast = section.positive("beta_fast", DEFAULT_BETA_FAST);
    const slow = section.positive("beta_slow", DEFAULT_BETA_SLOW);
    const isRounded = section.boolean("truncate", true);
    /** The pair that turns `count` times within the original context. */
    const pairOf = (count: number): number =>
      (turned * Math.log(original / (count * 2 * Math.PI))) / (2 * Math.log(base));
    const low = Math.max(isRounded ? Math.floor(pairOf(fast)) : pairOf(fast), 0);
    const end = Math.min(isRounded ? Math.ceil(pairOf(slow)) : pairOf(slow), turned - 1);
    const high = end === low ? end + 0.001 : end;
    const f = Math.fround;
    const scaled = frequencies.map((frequency, i) => {
      const kept = f(1 - f(Math.min(1, Math.max(0, f(f(i - f(low)) / f(high - low))))));
      return f(f(f(frequency / f(stretch)) * f(1 - kept)) + f(frequency * kept));
    });
    const factor = attentionFactor(section, stretch);
    const key = `${plain.key}/yarn ${stretch} ${low} ${high} ${factor}`;
    return { ...plain, frequencies: scaled, factor, key };
  },
};

function attentionFactor(section: ConfigFields, stretch: number): number {
  if (section.value("attention_factor") !== undefined) return section.positive("attention_factor");
  const growth = (scale: number): number => (stretch <= 1 ? 1 : 0.1 * scale * Math.log(stretch) + 1);
  const scales = ["mscale", "mscale_all_dim"].map((name) => section.value(name));
  if (scales.includes(undefined)) return growth(1);
  return growth(section.positive("mscale")) / growth(section.positive("mscale_all_dim"));
}
