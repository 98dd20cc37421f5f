import { mkdtemp, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DistributionsShard } from "#src/distributions/shard.js";
import { readDistributionsShard, tokenIds, writeDistributionsShard } from "#src/distributions/shard-file.js";
import { readSafetensors, type Tensor, writeSafetensors } from "#src/formats/safetensors.js";
import { cutShard, halves, smallShard } from "./shard-fixture.ts";

const golden = resolve(import.meta.dirname, "../golden/pipeline/distributions");
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fusechat-shards-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a shard of distributions", () => {
  test("comes back from a file as it was, without rows and conversations too", async () => {
    const path = join(folder, "whole.safetensors");
    await writeDistributionsShard(path, smallShard());
    expect(await readDistributionsShard(path)).toEqual(smallShard());

    const empty = cutShard(smallShard(), 1, 1);
    await writeDistributionsShard(path, empty);
    expect(await readDistributionsShard(path)).toEqual(empty);
  });

  test("written twice has the same bytes", async () => {
    await writeDistributionsShard(join(folder, "a.safetensors"), smallShard());
    await writeDistributionsShard(join(folder, "b.safetensors"), smallShard());
    expect(await readFile(join(folder, "a.safetensors"))).toEqual(await readFile(join(folder, "b.safetensors")));
  });

  test("has the columns, types and metadata of FORMATS", async () => {
    const path = join(folder, "columns.safetensors");
    await writeDistributionsShard(path, smallShard());
    const { tensors, metadata } = await readSafetensors(path);
    const columns = Object.fromEntries([...tensors].map(([name, { dtype, shape }]) => [name, `${dtype} [${shape}]`]));
    expect(columns).toEqual({
      conversation: "I32 [2]",
      conversation_sha256: "U8 [2,32]",
      ids_sha256: "U8 [2,32]",
      bytes: "I32 [2]",
      row_start: "I64 [3]",
      turn: "U16 [5]",
      byte_start: "I32 [5]",
      byte_end: "I32 [5]",
      lead: "U8 [5]",
      token: "U16 [5]",
      label_logp: "F32 [5]",
      top_id: "U16 [5,2]",
      top_logp: "F16 [5,2]",
      end_of_turn: "I32 [2]",
      left_out_row: "I32 [2]",
      left_out: "I64 [2]",
    });
    expect(tensors.get("left_out")!.data).toEqual(BigInt64Array.of(-9223372036854775808n, 7n));
    expect(metadata).toEqual({
      format: "fusechat-distributions-2",
      model: "small",
      weights_sha256: "a".repeat(64),
      tokenizer_sha256: "b".repeat(64),
      template: "native",
      template_sha256: "d".repeat(64),
      special_tokens_sha256: "e".repeat(64),
      template_name: "default",
      template_variables: "{}",
      date: "2025-01-01",
      top_k: "2",
      vocabulary: "6",
      max_length: "64",
    });
  });

  test("has ids of two bytes up to a vocabulary of 65,536 and of four beyond", async () => {
    expect(tokenIds(65_536, 1)).toBeInstanceOf(Uint16Array);
    expect(tokenIds(65_537, 1)).toBeInstanceOf(Uint32Array);
    const small = smallShard();
    const wide: DistributionsShard = {
      ...small,
      metadata: { ...small.metadata, vocabulary: 65_537 },
      token: Uint32Array.from(small.token),
      topId: Uint32Array.from(small.topId, (id) => (id === 2 ? 65_536 : id)),
    };
    const path = join(folder, "wide.safetensors");
    await writeDistributionsShard(path, wide);
    expect(await readDistributionsShard(path)).toEqual(wide);
  });

  test("of another program is read: the golden ones", async () => {
    const shard = await readDistributionsShard(join(golden, "gemma2/shard-00000.safetensors"));
    expect(shard.metadata).toMatchObject({ model: "gemma2", topK: 10, vocabulary: 496, maxLength: 2048 });
    expect(Array.from(shard.conversation)).toEqual([0, 1, 2, 3, 5, 6, 7]);
    expect(shard.rowStart.at(-1)).toBe(310);
    expect([shard.endOfTurn.length, shard.leftOut.length]).toEqual([7, 0]);
  });
});

describe("a broken shard is refused by file and tensor:", () => {
  type Change = Partial<{ [K in keyof DistributionsShard]: DistributionsShard[K] }>;
  const broken: [string, Change, string][] = [
    [
      "rows that do not begin at 0",
      { rowStart: Float64Array.of(1, 2, 5) },
      '"row_start": expected 0 at its beginning, found 1',
    ],
    [
      "rows that descend",
      { rowStart: Float64Array.of(0, 6, 5) },
      '"row_start": descends from 6 to 5 at conversation 1',
    ],
    [
      "rows that are missing",
      { rowStart: Float64Array.of(0, 2, 4) },
      '"row_start": expected 5 at its end, as there are rows, found 4',
    ],
    [
      "conversations out of order",
      { conversation: Int32Array.of(3, 3) },
      '"conversation": expected ascending indices from 0 on, found 3 after 3',
    ],
    [
      "a negative conversation",
      { conversation: Int32Array.of(-1, 3) },
      '"conversation": expected ascending indices from 0 on, found -1 at the beginning',
    ],
    ["negative bytes", { bytes: Int32Array.of(4, -5) }, '"bytes": expected numbers of at least 0, found -5 at 1'],
    [
      "a span that runs backwards",
      { byteEnd: Int32Array.of(3, 2, 1, 2, 2) },
      '"byte_end": row 1 ends at byte 2, before its start at 3',
    ],
    ["starts that descend", { byteStart: Int32Array.of(3, 2, 0, 0, 2) }, '"byte_start": descends from 3 to 2 at row 1'],
    ["turns that descend", { turn: Uint16Array.of(1, 1, 3, 1, 3) }, '"turn": descends from 3 to 1 at row 3'],
    [
      "a label outside the vocabulary",
      { token: Uint16Array.of(1, 5, 6, 3, 5) },
      '"token": row 2 has id 6, the vocabulary ends at 5',
    ],
    [
      "a label's log-probability that is no number",
      { labelLogp: Float32Array.of(-0.5, NaN, -2, 0, -3) },
      '"label_logp": expected finite log-probabilities of at most 0, row 1 has NaN',
    ],
    [
      "a label's probability above one",
      { labelLogp: Float32Array.of(-0.5, 0.5, -2, 0, -3) },
      '"label_logp": expected finite log-probabilities of at most 0, row 1 has 0.5',
    ],
    [
      "a label's probability of nought",
      { labelLogp: Float32Array.of(-0.5, -Infinity, -2, 0, -3) },
      '"label_logp": expected finite log-probabilities of at most 0, row 1 has -Infinity',
    ],
    [
      "a top id outside the vocabulary",
      { topId: Uint16Array.of(1, 2, 5, 0, 3, 6, 3, 0, 1, 4) },
      '"top_id": row 2 has id 6, the vocabulary ends at 5',
    ],
    [
      "a top id outside the vocabulary in a place without mass",
      { topId: Uint16Array.of(1, 2, 5, 0, 3, 2, 3, 6, 1, 4) },
      '"top_id": row 3 has id 6, the vocabulary ends at 5',
    ],
    ["a top id twice", { topId: Uint16Array.of(1, 2, 5, 5, 3, 2, 3, 0, 1, 4) }, '"top_id": row 1 has id 5 twice'],
    [
      "a NaN",
      { topLogp: halves([-0.5, NaN, -1, -2, -0.25, -3, 0, -9, -1, -1]) },
      '"top_logp": row 0 has a log-probability that is not a number',
    ],
    [
      "a probability above one",
      { topLogp: halves([-0.5, -1, 0.5, -2, -0.25, -3, 0, -9, -1, -1]) },
      '"top_logp": row 1 has the log-probability 0.5, a probability above one',
    ],
    [
      "probabilities that add up to more than one",
      { topLogp: halves([-0.5, -0.5, -1, -2, -0.25, -3, 0, -9, -1, -1]) },
      '"top_logp": the probabilities of row 0 add up to 1.213, more than one',
    ],
    [
      "probabilities that ascend",
      { topLogp: halves([-2, -1, -1, -2, -0.25, -3, 0, -9, -1, -1]) },
      '"top_logp": expected descending values, row 0 has -1 after -2',
    ],
    [
      "ends of turns that descend",
      { endOfTurn: Int32Array.of(4, 1) },
      '"end_of_turn": expected ascending rows below 5, found 1 after 4',
    ],
    [
      "an end of turn that is no row",
      { endOfTurn: Int32Array.of(1, 5) },
      '"end_of_turn": expected ascending rows below 5, found 5 after 1',
    ],
    [
      "an end of turn before its turn's last row",
      { byteEnd: Int32Array.of(3, 3, 1, 0, 2), endOfTurn: Int32Array.of(1, 3) },
      '"end_of_turn": expected the last rows of turns, with empty spans, found row 3',
    ],
    [
      "an end of turn that has bytes of its own",
      { endOfTurn: Int32Array.of(1, 2, 4) },
      '"end_of_turn": expected the last rows of turns, with empty spans, found row 2',
    ],
    [
      "something left out before a row that is none",
      { leftOutRow: Int32Array.of(2, 5) },
      '"left_out_row": expected ascending rows below 5, found 5 after 2',
    ],
    [
      "something left out before one row twice",
      { leftOutRow: Int32Array.of(2, 2) },
      '"left_out_row": expected ascending rows below 5, found 2 after 2',
    ],
    [
      "something left out before a negative row",
      { leftOutRow: Int32Array.of(-1, 2) },
      '"left_out_row": expected ascending rows below 5, found -1 after -1',
    ],
  ];
  test.each(broken)("%s", async (name, change, message) => {
    const path = join(folder, `${name}.safetensors`);
    await writeDistributionsShard(path, { ...smallShard(), ...change });
    await expect(readDistributionsShard(path)).rejects.toMatchObject({
      message: `${path}: tensor ${message}`,
      exitCode: 2,
    });
  });

  const reshaped: [string, string, Tensor | undefined, string][] = [
    ["a missing tensor", "lead", undefined, 'tensor "lead": is missing'],
    [
      "another dtype",
      "lead",
      { dtype: "I8", shape: [5], data: new Int8Array(5) },
      'tensor "lead": expected dtype U8, found I8',
    ],
    [
      "wider ids than the vocabulary needs",
      "token",
      { dtype: "U32", shape: [5], data: new Uint32Array(5) },
      'tensor "token": expected dtype U16, found U32',
    ],
    [
      "another shape",
      "turn",
      { dtype: "U16", shape: [4], data: new Uint16Array(4) },
      'tensor "turn": expected shape [5], found [4]',
    ],
    [
      "another number of columns than top_k",
      "top_id",
      { dtype: "U16", shape: [5, 3], data: new Uint16Array(15) },
      'tensor "top_id": expected shape [5, 2], found [5, 3]',
    ],
    [
      "another number of axes",
      "conversation",
      { dtype: "I32", shape: [2, 1], data: new Int32Array(2) },
      'tensor "conversation": expected shape [any], found [2, 1]',
    ],
    ["no hashes of conversations", "conversation_sha256", undefined, 'tensor "conversation_sha256": is missing'],
    [
      "hashes of ids cut short",
      "ids_sha256",
      { dtype: "U8", shape: [2, 31], data: new Uint8Array(62) },
      'tensor "ids_sha256": expected shape [2, 32], found [2, 31]',
    ],
    [
      "fewer hashes of what is left out than rows that they hold from",
      "left_out",
      { dtype: "I64", shape: [1], data: BigInt64Array.of(7n) },
      'tensor "left_out": expected shape [2], found [1]',
    ],
  ];
  test.each(reshaped)("%s", async (name, tensorName, tensor, message) => {
    const path = join(folder, `${name}.safetensors`);
    await writeDistributionsShard(path, smallShard());
    const { tensors, metadata } = await readSafetensors(path);
    const changed = new Map(tensors);
    if (tensor === undefined) changed.delete(tensorName);
    else changed.set(tensorName, tensor);
    await writeSafetensors(path, changed, metadata);
    await expect(readDistributionsShard(path)).rejects.toThrow(`${path}: ${message}`);
  });

  const labelled: [string, string, string | undefined, string][] = [
    [
      "an older version",
      "format",
      "fusechat-distributions-1",
      'expected a shard of format "fusechat-distributions-2", found "fusechat-distributions-1"; ' +
        "it was written by another version of fusechat, make it again with this one",
    ],
    ["no format at all", "format", undefined, 'expected a shard of format "fusechat-distributions-2", found none'],
    ["no model", "model", undefined, 'the metadata has no "model"'],
    ...["template_sha256", "special_tokens_sha256", "template_name", "template_variables", "date"].map(
      (key): [string, string, undefined, string] => [`no ${key}`, key, undefined, `the metadata has no "${key}"`],
    ),
    ["a date that is no day", "date", "2024-02-31", 'expected the date as YYYY-MM-DD, found "2024-02-31"'],
    ...["{nonsense", "3", "null", "[1]"].map((text): [string, string, string, string] => [
      `template variables that are ${text}`,
      "template_variables",
      text,
      `expected a JSON mapping as metadata "template_variables", found ${JSON.stringify(text)}`,
    ]),
    [
      "a template variable that the program gives",
      "template_variables",
      '{"messages":[]}',
      "the template variable messages is given by the program itself",
    ],
    [
      "an unknown template",
      "template",
      "chatml",
      'expected "native" or "pivot" as metadata "template", found "chatml"',
    ],
    [
      "a top_k that is no number",
      "top_k",
      "ten",
      'expected a whole number of 1 to 65535 as metadata "top_k", found "ten"',
    ],
    [
      "a vocabulary of nought",
      "vocabulary",
      "0",
      'expected a whole number of 1 to 4194305 as metadata "vocabulary", found "0"',
    ],
    [
      "a vocabulary that would take gigabytes",
      "vocabulary",
      "1000000000",
      'expected a whole number of 1 to 4194305 as metadata "vocabulary", found "1000000000"',
    ],
    [
      "more tokens a row than any vocabulary has",
      "top_k",
      "9999999999",
      'expected a whole number of 1 to 65535 as metadata "top_k", found "9999999999"',
    ],
  ];
  test.each(labelled)("%s", async (name, key, value, message) => {
    const path = join(folder, `${name}.safetensors`);
    await writeDistributionsShard(path, smallShard());
    const { tensors, metadata } = await readSafetensors(path);
    const { [key]: _, ...others } = metadata;
    await writeSafetensors(path, tensors, value === undefined ? others : { ...others, [key]: value });
    await expect(readDistributionsShard(path)).rejects.toThrow(`${path}: ${message}`);
  });

  test("one that was cut short", async () => {
    const path = join(folder, "cut.safetensors");
    await writeDistributionsShard(path, smallShard());
    const { length } = await readFile(path);
    await truncate(path, length - 3);
    await expect(readDistributionsShard(path)).rejects.toMatchObject({ exitCode: 2 });
    await expect(readDistributionsShard(path)).rejects.toThrow(path);
  });

  test("one that is not there", async () => {
    await expect(readDistributionsShard(join(folder, "none"))).rejects.toThrow(`${join(folder, "none")}: no such file`);
  });
});
