import { describe, expect, test } from "vitest";
import { configFields } from "#src/models/config-fields.js";
import { readRotary } from "#src/models/rotary-scaling.js";
import { rotaryEmbedding } from "#src/models/rotary-tables.js";

const read = (config: unknown, headSize = 128, maxPositions: number | null = 32_768) =>
  readRotary(configFields("config.json", config), { base: 10_000, headSize, maxPositions });

const LLAMA_31 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

/** Frequencies by their index, as transformers 5.23 computes them in single precision. */
const PUBLISHED = {
  "Llama 3.1 8B": [
    { rope_theta: 500_000, rope_scaling: LLAMA_31 },
    128,
    {
      0: 1,
      13: 0.06956595182418823,
      28: 0.0032114461064338684,
      29: 0.0021665706299245358,
      30: 0.0013718936825171113,
      34: 0.0001785077911335975,
      35: 0.00009556212171446532,
      36: 0.00007784655463183299,
      63: 3.068925877869333e-7,
    },
  ],
  "Llama 3.2 1B": [
    { rope_theta: 500_000, rope_scaling: { ...LLAMA_31, factor: 32 } },
    64,
    {
      0: 1,
      14: 0.0032114461064338684,
      15: 0.0012905480107292533,
      16: 0.000429556705057621,
      17: 0.00009708286233944818,
      18: 0.000019461638657958247,
      31: 9.418306490260875e-8,
    },
  ],
  "a linear factor of 3": [
    { rope_scaling: { type: "linear", factor: 3 } },
    128,
    { 0: 0.3333333432674408, 13: 0.05133088305592537, 40: 0.0010540926596149802, 63: 0.000038492729800054803 },
  ],
} as const;

test.each(Object.entries(PUBLISHED))(
  "%s: the frequencies of transformers, bit for bit",
  (_, [config, size, expected]) => {
    const { frequencies } = read(config, size);
    expect(frequencies.length).toBe(size / 2);
    for (const [index, frequency] of Object.entries(expected))
      expect(frequencies[Number(index)], index).toBe(frequency);
  },
);

test("dynamic scaling changes nothing up to max_position_embeddings, where sequences end", () => {
  const found = read({ rope_theta: 1e6, rope_scaling: { type: "dynamic", factor: 3 } });
  expect(found).toEqual(rotaryEmbedding(1e6, 128));
});

test("both spellings of configs say the same", () => {
  const older = read({ rope_theta: 500_000, rope_scaling: LLAMA_31 });
  expect(read({ rope_parameters: { ...LLAMA_31, rope_theta: 500_000 } })).toEqual(older);
  expect(read({ rope_theta: 500_000, rope_parameters: LLAMA_31, rope_scaling: null })).toEqual(older);
  const { rope_type: type, ...rest } = LLAMA_31;
  expect(read({ rope_theta: 500_000, rope_scaling: { type, ...rest } })).toEqual(older);
  expect(read({ rope_parameters: { rope_type: "default", rope_theta: 5e5, partial_rotary_factor: 1 } })).toEqual(
    read({ rope_theta: 5e5 }),
  );
});

test("embeddings that turn differently have different keys, so that no table is taken for another", () => {
  const configs = [
    {},
    { rope_theta: 500 },
    { rope_scaling: { type: "linear", factor: 2 } },
    { rope_scaling: { type: "linear", factor: 4 } },
    { rope_scaling: LLAMA_31 },
    { rope_scaling: { ...LLAMA_31, factor: 32 } },
  ];
  expect(new Set(configs.map((config) => read(config).key)).size).toBe(configs.length);
});

describe("what is not known or makes no sense is refused by name", () => {
  test.each([
    [{ rope_scaling: "linear" }, 'rope_scaling: expected an object or null, found "linear"'],
    [
      { rope_scaling: { type: "ntk", factor: 4 } },
      'rope_scaling: type: "ntk" is not supported (only default, linear, dynamic, llama3, longrope, su, yarn)',
    ],
    [
      { rope_parameters: { rope_type: "longrope", short_factor: [1], long_factor: [2] } },
      "original_max_position_embeddings: expected a whole number of at least 1, found nothing",
    ],
    [
      {
        original_max_position_embeddings: 4096,
        rope_parameters: { rope_type: "longrope", original_max_position_embeddings: 2048 },
      },
      "original_max_position_embeddings: is 4096 here and 2048 among the rotary fields",
    ],
    [
      { original_max_position_embeddings: 4096, rope_scaling: { type: "su", short_factor: [1], long_factor: [2] } },
      "rope_scaling: short_factor: expected 64 numbers above 0, found [1]",
    ],
    [
      { original_max_position_embeddings: 4096, rope_scaling: { type: "longrope", short_mscale: 1.1 } },
      "rope_scaling: short_mscale: 1.1 is not supported (leave it out)",
    ],
    [
      { rope_scaling: { type: "yarn", factor: 4, beta_fast: 0 } },
      "rope_scaling: beta_fast: expected a number above 0, found 0",
    ],
    [
      { rope_scaling: { type: 3 } },
      "rope_scaling: type: 3 is not supported (only default, linear, dynamic, llama3, longrope, su, yarn)",
    ],
    [
      { rope_scaling: { rope_type: "constructor" } },
      'rope_scaling: rope_type: "constructor" is not supported (only default, linear, dynamic, llama3, longrope, su, yarn)',
    ],
    [
      { rope_scaling: { rope_type: "linear", type: "dynamic", factor: 2 } },
      'rope_scaling: type: "dynamic" is not supported (only "linear")',
    ],
    [{ rope_scaling: { type: "linear" } }, "rope_scaling: factor: expected a number of at least 1, found nothing"],
    [
      { rope_scaling: { type: "linear", factor: "2" } },
      'rope_scaling: factor: expected a number of at least 1, found "2"',
    ],
    [
      { rope_scaling: { type: "dynamic", factor: 0.5 } },
      "rope_scaling: factor: expected a number of at least 1, found 0.5",
    ],
    [
      { rope_scaling: { type: "linear", factor: 2, attention_factor: 1.2 } },
      "rope_scaling: attention_factor: 1.2 is not supported (leave it out)",
    ],
    [
      { rope_scaling: { type: "default", mrope_section: [1, 2] } },
      "rope_scaling: mrope_section: [1,2] is not supported (leave it out)",
    ],
    [
      { rope_parameters: { full_attention: { rope_theta: 1e6 }, sliding_attention: { rope_theta: 1e4 } } },
      'rope_parameters: full_attention: {"rope_theta":1000000} is not supported (leave it out)',
    ],
    [
      { rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } },
      "rope_parameters: partial_rotary_factor: 0.5 is not supported (only 1)",
    ],
    [{ rope_theta: -1 }, "rope_theta: expected a number above 0, found -1"],
    [{ rope_parameters: { rope_theta: "1e6" } }, 'rope_parameters: rope_theta: expected a number above 0, found "1e6"'],
    [
      { rope_theta: 1e4, rope_parameters: { rope_theta: 1e6 } },
      "rope_theta: is 10000 here and 1000000 among the rotary fields",
    ],
    [
      { rope_scaling: LLAMA_31, rope_parameters: LLAMA_31 },
      "rope_parameters: stands beside rope_scaling; leave one of the two",
    ],
    [
      { rope_scaling: { ...LLAMA_31, high_freq_factor: 1 } },
      "rope_scaling: high_freq_factor: expected more than low_freq_factor (1), found 1",
    ],
    [
      { rope_scaling: { ...LLAMA_31, low_freq_factor: 0 } },
      "rope_scaling: low_freq_factor: expected a number above 0, found 0",
    ],
    [
      { rope_scaling: { ...LLAMA_31, original_max_position_embeddings: null } },
      "rope_scaling: original_max_position_embeddings: expected a whole number of at least 1, found nothing",
    ],
    [
      { rope_scaling: { type: "dynamic", factor: 2, original_max_position_embeddings: 4096 } },
      "rope_scaling: original_max_position_embeddings: 4096 is not supported (only 32768)",
    ],
  ])("%#", (config, message) => {
    expect(() => read(config)).toThrow(`config.json: ${message}`);
  });

  test("dynamic scaling without the length at which it begins", () => {
    expect(() => read({ rope_scaling: { type: "dynamic", factor: 2 } }, 128, null)).toThrow(
      "rope_scaling: type: dynamic scaling begins after max_position_embeddings, and the config has none",
    );
  });
});
