/**
 * The angles of a checkpoint: `rope_theta`, and what `rope_scaling` (configs of transformers 4) or `rope_parameters`
 * (of transformers 5, `rope_theta` within) does to stretch them over contexts longer than those of pre-training.
 * Every step is rounded to single precision, as in the code the checkpoints were trained with.
 */

import { excerptOf } from "../excerpt.ts";
import { type Table, tableOf } from "../table.ts";
import type { RotaryEmbedding } from "./architecture.ts";
import type { ConfigFields } from "./config-fields.ts";
import { longrope } from "./longrope.ts";
import type { RotaryKind, RotaryOptions } from "./rotary-kind.ts";
import { rotaryEmbedding } from "./rotary-tables.ts";
import { yarn } from "./yarn.ts";

const KINDS: Table<RotaryKind> = tableOf({
  default: { fields: [], scale: (plain) => plain },
  linear: { fields: ["factor"], scale: linear },
  dynamic: { fields: ["factor", "original_max_position_embeddings"], scale: dynamic },
  llama3: {
    fields: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
    scale: llama3,
  },
  longrope,
  su: longrope,
  yarn,
});

/** Fields that every kind may have. */
const COMMON = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];

/** Angles by the kind of layer: of those that see everything, and of those with a window. */
export interface LayerAngles {
  readonly full: RotaryEmbedding;
  readonly sliding: RotaryEmbedding;
}

export interface LayerAnglesOptions extends RotaryOptions {
  /** Where the config names no base for the layers with a window. */
  readonly slidingBase: number;
}

/** Reads the rotary embedding; a kind that is not known, and fields that do not belong to a kind, are refused by name. */
export function readRotary(fields: ConfigFields, options: RotaryOptions): RotaryEmbedding {
  const sections = ["rope_scaling", "rope_parameters"].map((name) => fields.section(name));
  if (sections.every((section) => section !== undefined)) {
    fields.refuse("rope_parameters", "stands beside rope_scaling; leave one of the two");
  }
  const section = sections.find((found) => found !== undefined);
  return readAngles(fields, section, { ...options, base: readBase(fields, "rope_theta", section, options.base) });
}

/**
 * As Gemma 3 has them: configs of transformers 4 name a second base, `rope_local_base_freq`, which no scaling applies to;
 * those of transformers 5 have a section for each kind of layer.
 */
export function readLayerAngles(fields: ConfigFields, options: LayerAnglesOptions): LayerAngles {
  const parameters = fields.section("rope_parameters");
  if (parameters === undefined) {
    return {
      full: readRotary(fields, options),
      sliding: rotaryEmbedding(fields.positive("rope_local_base_freq", options.slidingBase), options.headSize),
    };
  }
  if (fields.value("rope_scaling") !== undefined) {
    fields.refuse("rope_parameters", "stands beside rope_scaling; leave one of the two");
  }
  for (const name of parameters.names) if (!Object.hasOwn(LAYER_SECTIONS, name)) parameters.only(name, []);
  const read = (name: keyof typeof LAYER_SECTIONS, fallback: number): RotaryEmbedding => {
    const section =
      parameters.section(name) ?? parameters.refuse(name, "expected the rotary fields of these layers, found nothing");
    const angles = readAngles(fields, section, {
      ...options,
      base: readBase(fields, LAYER_SECTIONS[name], section, fallback),
    });
    if (angles.long !== null) section.lack("rope_type", "longrope is not supported for some layers alone");
    return angles;
  };
  return { full: read("full_attention", options.base), sliding: read("sliding_attention", options.slidingBase) };
}

/** The sections of transformers 5, and the field of transformers 4 that has the base. */
const LAYER_SECTIONS = { full_attention: "rope_theta", sliding_attention: "rope_local_base_freq" } as const;

function readAngles(fields: ConfigFields, section: ConfigFields | undefined, options: RotaryOptions): RotaryEmbedding {
  const turned = readTurned(fields, section, options);
  const { isInterleaved = false } = options;
  const key = isInterleaved ? ", interleaved" : "";
  const halves = rotaryEmbedding(options.base, turned);
  const plain = { ...halves, isInterleaved, key: `${halves.key}${key}` };
  if (section === undefined) return plain;
  const { fields: own, scale } = readKind(section);
  for (const name of section.names) {
    if (!COMMON.includes(name) && !own.includes(name)) section.only(name, []);
  }
  return scale(plain, section, options, fields);
}

/** Entries of a head that turn: all, or the share that `partial_rotary_factor` says, within the section or outside. */
function readTurned(
  fields: ConfigFields,
  section: ConfigFields | undefined,
  { headSize, partial }: RotaryOptions,
): number {
  const name = "partial_rotary_factor";
  if (partial === undefined) {
    section?.only(name, [1]);
    return headSize;
  }
  const share = section?.value(name) === undefined ? fields.positive(name, partial) : section.positive(name);
  const outside = fields.value(name) ?? share;
  if (outside !== share) fields.refuse(name, `is ${excerptOf(outside)} here and ${share} among the rotary fields`);
  const turned = Math.trunc(headSize * share);
  if (turned < 2 || turned > headSize || turned % 2 !== 0) {
    fields.refuse(
      name,
      `${share} of a head of ${headSize} is ${turned} entries; expected an even number up to ${headSize}`,
    );
  }
  return turned;
}

/** The section's `rope_theta`; `field` is where older configs have it. */
function readBase(fields: ConfigFields, field: string, section: ConfigFields | undefined, fallback: number): number {
  if (section?.value("rope_theta") === undefined) return fields.positive(field, fallback);
  const base = section.positive("rope_theta");
  const outside = fields.value(field) ?? base;
  if (outside !== base) fields.refuse(field, `is ${excerptOf(outside)} here and ${base} among the rotary fields`);
  return base;
}

function readKind(section: ConfigFields): RotaryKind {
  const name = section.value("rope_type") ?? section.value("type") ?? "default";
  section.only("type", [name]);
  const kind = typeof name === "string" && Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  const field = section.value("rope_type") === undefined ? "type" : "rope_type";
  if (kind !== undefined) return kind;
  const problem = `${excerptOf(name)} is not supported (only ${Object.keys(KINDS).join(", ")})`;
  return typeof name === "string" ? section.lack(field, problem) : section.refuse(field, problem);
}

/** Positions divided by the factor (Chen et al. 2023, eq. 4). */
function linear(plain: RotaryEmbedding, fields: ConfigFields): RotaryEmbedding {
  const factor = fields.atLeast("factor", 1);
  return {
    ...plain,
    frequencies: plain.frequencies.map((frequency) => frequency / Math.fround(factor)),
    key: `${plain.key}/linear ${factor}`,
  };
}

/**
 * A base that grows with the sequence once that is longer than `max_position_embeddings`. Up to there the published
 * code uses the plain frequencies, and no engine here takes a longer sequence.
 */
function dynamic(plain: RotaryEmbedding, fields: ConfigFields, { maxPositions }: RotaryOptions): RotaryEmbedding {
  fields.atLeast("factor", 1);
  if (maxPositions === null) {
    fields.refuse("type", "dynamic scaling begins after max_position_embeddings, and the config has none");
  }
  fields.only("original_max_position_embeddings", [maxPositions]);
  return plain;
}

/**
 * Llama 3.1 (Grattafiori et al. 2024, section 3.4.2, in the form of its published code): wavelengths longer than
 * `original / low` positions are stretched by the factor, those shorter than `original / high` stay, and those between
 * are interpolated by how many periods fit into the original context.
 */
function llama3(plain: RotaryEmbedding, fields: ConfigFields): RotaryEmbedding {
  const factor = fields.atLeast("factor", 1);
  const low = fields.positive("low_freq_factor");
  const high = fields.positive("high_freq_factor");
  if (low >= high) fields.refuse("high_freq_factor", `expected more than low_freq_factor (${low}), found ${high}`);
  const original = fields.count("original_max_position_embeddings");
  const f = Math.fround;
  const scaled = plain.frequencies.map((frequency) => {
    const wavelength = f(f(1 / frequency) * f(2 * Math.PI));
    if (wavelength < f(original / high)) return frequency;
    if (wavelength > f(original / low)) return f(frequency / f(factor));
    const periods = f(f(1 / wavelength) * original);
    const share = f(f(periods - f(low)) / f(high - low));
    return f(f(f(f(1 - share) * frequency) / f(factor)) + f(share * frequency));
  });
  return { ...plain, frequencies: scaled, key: `${plain.key}/llama3 ${factor} ${low} ${high} ${original}` };
}
