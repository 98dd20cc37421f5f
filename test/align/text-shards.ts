/** Shards made from texts alone: each text is one response, encoded by itself, with a distribution for every token. */

import type { DistributionsShard } from "#src/distributions/shard.js";
import { writeDistributionsShard } from "#src/distributions/shard-file.js";
import { numberToHalf } from "#src/formats/float.js";
import type { Tokenizer } from "#src/tokenizer/tokenizer.js";
import { nothingLeftOut, shardMetadata, textHashes } from "../distributions/shard-fixture.ts";

/** [tokens, topK] of one text: ids and log-probabilities, descending. */
export type Distributions = (ids: Int32Array) => { id: ArrayLike<number>; logp: ArrayLike<number> };

/** All mass on the label. */
export const certain: Distributions = (ids) => ({ id: ids, logp: new Float64Array(ids.length) });

export async function textShard(
  tokenizer: Tokenizer,
  texts: readonly string[],
  settings: { model: string; vocabulary: number; topK: number },
  distributions: Distributions,
): Promise<DistributionsShard> {
  const encodings = await tokenizer.encodeBatch(texts);
  const rowStart = new Float64Array(texts.length + 1);
  encodings.forEach(({ ids }, n) => {
    rowStart[n + 1] = rowStart[n]! + ids.length;
  });
  const rows = rowStart[texts.length]!;
  const ids = (length: number) => (settings.vocabulary > 65_536 ? new Uint32Array(length) : new Uint16Array(length));
  const shard: DistributionsShard = {
    metadata: shardMetadata({ ...settings, tokenizerSha256: tokenizer.sha256, maxLength: 1_000_000 }),
    conversation: Int32Array.from(texts, (_, n) => n),
    ...textHashes(texts),
    bytes: Int32Array.from(texts, (text) => Buffer.byteLength(text)),
    rowStart,
    turn: new Uint16Array(rows).fill(1),
    byteStart: new Int32Array(rows),
    byteEnd: new Int32Array(rows),
    lead: new Uint8Array(rows),
    token: ids(rows),
    labelLogp: new Float32Array(rows).fill(-1),
    topId: ids(rows * settings.topK),
    topLogp: new Uint16Array(rows * settings.topK),
    endOfTurn: new Int32Array(0),
    ...nothingLeftOut(),
  };
  encodings.forEach((encoding, n) => {
    const at = rowStart[n]!;
    shard.token.set(encoding.ids, at);
    shard.byteStart.set(encoding.byteStart, at);
    shard.byteEnd.set(encoding.byteEnd, at);
    shard.lead.set(encoding.lead, at);
    const { id, logp } = distributions(encoding.ids);
    shard.topId.set(id, at * settings.topK);
    for (let k = 0; k < logp.length; k++) shard.topLogp[at * settings.topK + k] = numberToHalf(logp[k]!);
  });
  return shard;
}

export async function writeTextShard(folder: string, shard: DistributionsShard): Promise<void> {
  await writeDistributionsShard(`${folder}/shard-00000.safetensors`, shard);
}
