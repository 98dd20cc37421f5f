/**
 * Answers to prompts, token by token, with the keys and values of what was read kept. Sequences of different lengths
 * share a batch; once half of its slots are free, those that go on move together and waiting prompts join them. What
 * an answer is depends on its prompt, its seed and the options alone, up to the rounding of sums that are cut otherwise.
 *
 * Where a model turns long sequences by other angles, an answer that becomes long is read again from its beginning: all of
 * its keys have changed.
 */

import { isLongSequence, type Model } from "../../../models/index.ts";
import { createRandom, type Random } from "../../../random.ts";
import type { GenerateOptions } from "../../engine.ts";
import { chooseToken } from "../../sampling.ts";
import { lengthBucket, planBatches } from "../batches.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { POSITION_BUDGET } from "../micro-batches.ts";
import type { Runtime } from "../runtime.ts";
import { type Decoder, openDecoder, type PassResult } from "./decoder.ts";
import { createCache, type KeyValueCache, moveSlot, positionBytes, store } from "./key-value-cache.ts";

/** Largest cache of a batch; one sequence alone may need more. */
const CACHE_BYTES = 2 ** 30;
/** More give no more tokens a second: the products are then bound by arithmetic, no longer by reading the weights. */
const MOST_SLOTS = 16;
const LEAST_CAPACITY = 64;

/** Products of queries and keys of one layer at most, in floats (256 MB), where a long prompt is read in pieces. */
const PIECE_PRODUCTS = 2 ** 26;
const LONGEST_PIECE = 512;

/** What a generation tells, and asks, on its way. */
export interface GenerationListener {
  readonly onToken: (prompt: number, id: number) => void;
  /** True where all answers are to end as they are. */
  readonly stopped: () => boolean;
}

interface Answer {
  readonly prompt: number;
  /** The prompt's ids, then the answer's. All but the last are in the cache. */
  readonly ids: number[];
  /** The most ids there may be. */
  readonly room: number;
  readonly random: Random;
  open: boolean;
}

/** Answers by their slots. */
interface Group {
  readonly cache: KeyValueCache;
  readonly members: readonly Answer[];
}

/** What reading prompts and taking steps need. */
interface Generation {
  readonly model: Model;
  readonly decode: Decoder;
  /** Draws the next token of an answer from what a pass says of its sequence `b`. */
  readonly choose: (result: PassResult, b: number, answer: Answer) => void;
  readonly stopped: () => boolean;
}

/** One answer a prompt, without the stop id. An answer also ends where the model's context does. */
export async function generateAnswers(
  loaded: LoadedModel,
  runtime: Runtime,
  prompts: readonly Int32Array[],
  options: GenerateOptions,
  listener: GenerationListener,
): Promise<Int32Array[]> {
  const { model } = loaded;
  const { vocabularySize, maxPositions } = model.config;
  const allowed = Math.min(vocabularySize, options.bannedFrom ?? vocabularySize);
  const answers = prompts.map((ids, prompt): Answer => {
    const room = Math.min(ids.length + options.maxTokens, maxPositions ?? Number.POSITIVE_INFINITY);
    const open = allowed > 0 && ids.length > 0 && room > ids.length;
    const random = createRandom(options.seeds?.[prompt] ?? `${options.seed}/${prompt}`);
    return { prompt, ids: [...ids], room, random, open };
  });
  const generation: Generation = {
    model,
    decode: await openDecoder(loaded, runtime, allowed, options),
    choose: ({ candidates }, b, answer) => {
      const { id, logit } = candidates(b);
      const chosen = chooseToken(id, logit, options, answer.random);
      answer.open = !options.stopIds.includes(chosen);
      if (!answer.open) return;
      answer.ids.push(chosen);
      answer.open = answer.ids.length < answer.room;
      listener.onToken(answer.prompt, chosen);
    },
    stopped: listener.stopped,
  };

  // Longest first: prompts of like lengths are read together.
  const waiting = answers.filter(({ open }) => open).sort((a, b) => b.ids.length - a.ids.length || a.prompt - b.prompt);
  const slots = mostSlots(model, waiting);
  let group: Group = { cache: createCache(model, 0, 0), members: [] };
  while (!listener.stopped()) {
    const going = group.members.filter(({ open }) => open);
    const full = going.some(({ ids }) => ids.length > group.cache.capacity);
    if (!full && 2 * going.length > group.cache.slots) {
      const grown = going.filter(({ ids }) => hasGrownLong(model, ids.length));
      if (grown.length > 0) await readAgain(generation, group, grown);
      else await step(generation, group);
      continue;
    }
    const joining = waiting.splice(0, slots - going.length);
    if (going.length + joining.length === 0) break;
    group = regroup(model, group, [...going, ...joining]);
    await read(generation, group, joining);
  }
  return answers.map(({ ids, prompt }) => Int32Array.from(ids.slice(prompts[prompt]!.length)));
}

/** True at the first step of a sequence as a long one: what it has kept is of a short one. */
function hasGrownLong({ config }: Model, positions: number): boolean {
  return isLongSequence(config, positions) && !isLongSequence(config, positions - 1);
}

/** One token for every member that goes on; the others are carried along, and what comes of them is ignored. */
async function step({ model, decode, choose }: Generation, { cache, members }: Group): Promise<void> {
  const batch = cache.slots;
  const ids = new Int32Array(batch);
  members.forEach(({ ids: known }, slot) => {
    ids[slot] = known.at(-1)!;
  });
  const counts = new Int32Array(batch).fill(1);
  const open = members.filter((answer) => answer.open);
  const longs = open.filter((answer) => isLongSequence(model.config, answer.ids.length));
  for (const [isLong, own] of [
    [false, open.filter((answer) => !longs.includes(answer))],
    [true, longs],
  ] as const) {
    if (own.length === 0) continue;
    const result = await decode({ batch, length: 1, isLong, ids, counts, past: { cache, first: 0 } });
    for (const answer of own) {
      const slot = members.indexOf(answer);
      store(cache, slot, result.fresh, slot, 1);
      choose(result, slot, answer);
    }
  }
}

/** What is kept of these answers is dropped, and they are read as prompts are. */
async function readAgain(generation: Generation, group: Group, answers: readonly Answer[]): Promise<void> {
  for (const answer of answers) group.cache.filled[group.members.indexOf(answer)] = 0;
  await read(generation, group, answers);
}

async function read(generation: Generation, group: Group, joining: readonly Answer[]): Promise<void> {
  const beyondOnePass = joining.filter(({ ids }) => ids.length > POSITION_BUDGET);
  await readPrompts(generation, group, joining);
  await readRests(generation, group, beyondOnePass);
}

/** Reads prompts into their slots, several at a time; of those too long for one pass, the beginning. */
async function readPrompts(generation: Generation, group: Group, joining: readonly Answer[]): Promise<void> {
  const { cache, members } = group;
  const extents = joining.map(({ ids }) => ({
    length: Math.min(ids.length, POSITION_BUDGET),
    rows: 1,
    isLong: isLongSequence(generation.model.config, ids.length),
  }));
  for (const { size, length, isLong, members: batch } of planBatches(extents, POSITION_BUDGET)) {
    if (generation.stopped()) return;
    const ids = new Int32Array(size * length);
    const counts = new Int32Array(size).fill(1);
    batch.forEach((index, b) => {
      counts[b] = extents[index]!.length;
      ids.set(joining[index]!.ids.slice(0, counts[b]), b * length);
    });
    const result = await generation.decode({ batch: size, length, isLong, ids, counts, past: null });
    for (const [b, index] of batch.entries()) {
      const answer = joining[index]!;
      const count = counts[b]!;
      store(cache, members.indexOf(answer), result.fresh, b, count);
      if (count === answer.ids.length) generation.choose(result, b, answer);
    }
  }
}

/** Reads on in prompts too long for one pass, piece by piece after what their slots hold. */
async function readRests(generation: Generation, group: Group, long: readonly Answer[]): Promise<void> {
  const { cache, members } = group;
  const piece = pieceLength(generation.model, cache.capacity);
  for (const answer of long) {
    const slot = members.indexOf(answer);
    const end = answer.ids.length;
    const isLong = isLongSequence(generation.model.config, end);
    while (cache.filled[slot]! < end && !generation.stopped()) {
      const from = cache.filled[slot]!;
      const count = Math.min(end - from, piece);
      const length = lengthBucket(count);
      const ids = new Int32Array(length);
      ids.set(answer.ids.slice(from, from + count));
      const past = { cache, first: slot };
      const result = await generation.decode({ batch: 1, length, isLong, ids, counts: [count], past });
      store(cache, slot, result.fresh, 0, count);
      if (from + count === end) generation.choose(result, 0, answer);
    }
  }
}

/** Positions of a long prompt that are read at a time. */
function pieceLength({ config }: Model, capacity: number): number {
  const most = Math.floor(PIECE_PRODUCTS / (config.heads * capacity));
  return Math.max(LEAST_CAPACITY, Math.min(LONGEST_PIECE, 2 ** Math.floor(Math.log2(most))));
}

/** Answers in the slots of a cache that is large enough for a while, what they had read moved there. */
function regroup(model: Model, old: Group, members: readonly Answer[]): Group {
  const longest = Math.max(...members.map(({ ids }) => ids.length));
  const most = Math.max(...members.map(({ room }) => room));
  const slots = powerOfTwo(members.length);
  const capacity = powerOfTwo(Math.max(LEAST_CAPACITY, Math.min(longest + LEAST_CAPACITY / 2, most)));
  const cache = createCache(model, slots, capacity);
  members.forEach((answer, slot) => {
    const from = old.members.indexOf(answer);
    if (from >= 0) moveSlot(old.cache, from, cache, slot);
  });
  return { cache, members };
}

/** Slots of a batch: as many as the cache has memory for when every answer takes all its room. */
function mostSlots(model: Model, answers: readonly Answer[]): number {
  const longest = powerOfTwo(answers.reduce((most, { room }) => Math.max(most, room), LEAST_CAPACITY));
  const fitting = Math.floor(CACHE_BYTES / (longest * positionBytes(model)));
  return Math.max(1, Math.min(MOST_SLOTS, 2 ** Math.floor(Math.log2(fitting))));
}

/** The smallest power of two that is at least `count`. */
function powerOfTwo(count: number): number {
  return 2 ** Math.ceil(Math.log2(count));
}
