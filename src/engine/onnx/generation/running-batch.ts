/**
 * The answers that a model is at, scheduled token by token (Yu et al., "Orca", OSDI 2022): an answer joins at the next
 * token and leaves at its last one, whatever the others do. Each has a slot of the key-value cache; sequences of
 * different lengths share a pass. What an answer is depends on its prompt, its seed and its options alone, up to the
 * rounding of sums that are cut otherwise.
 *
 * A turn is one pass of the network: prompts of those who joined, or one token for everybody else. Where the cache would
 * outgrow its memory, some answers wait again, and are read from their beginning when there is room.
 *
 * Where a model turns long sequences by other angles, an answer that becomes long is read again too: all of its keys
 * have changed.
 */
import { isLongSequence, type Model } from "../../../models/index.ts";
import { lengthBucket, planBatches } from "../batches.ts";
import { POSITION_BUDGET } from "../micro-batches.ts";
import { type Answer, drawToken, endAnswer, wantedOf } from "./answer.ts";
import { CACHE_BYTES, type CacheShape, cacheShape, fits, fitting, pieceLength, powerOfTwo } from "./cache-shape.ts";
import type { Decoder } from "./decoder.ts";
import { commonLength, type KeptPrefixes, LEAST_SHARED, type SharedPositions } from "./kept-prefixes.ts";
import { copySlot, createCache, store } from "./key-value-cache.ts";

/** Prompts read at a time where others wait for their next tokens. */
const LONGEST_PASS = 512;

/**
 * Least places of a slot. Every shape is a program of its own, whose building takes 300 ms at 30 layers, as long as it
 * takes to read a prompt of a hundred tokens; a batch that others join meets more of them, and has fewer sizes.
 */
const LEAST_CAPACITY = { "at once": 256, together: 64 } as const;

export interface BatchPolicy {
  /**
   * `at once`: at the next token, and prompts are read between two tokens of the others. `together`: once half of the
   * batch has left, so that prompts are read together, which takes less time in all.
   */
  readonly joins: "at once" | "together";
  /** Beginnings of earlier sequences, which are not computed again; null where nothing is repeated. */
  readonly prefixes: KeptPrefixes | null;
  /** Largest cache; one sequence alone may need more. 1 GB where absent. */
  readonly cacheBytes?: number;
}

export interface RunningBatch {
  /** Queues answers, in the order in which they are to join. */
  join(answers: readonly Answer[]): void;
  /** One pass; false where no answer is left. */
  turn(): Promise<boolean>;
}

interface Place {
  readonly slot: number;
  readonly answer: Answer;
}

function answersOf(places: readonly Place[]): Answer[] {
  return places.map(({ answer }) => answer);
}

export function openRunningBatch(model: Model, decoder: Decoder, policy: BatchPolicy): RunningBatch {
  const atOnce = policy.joins === "at once";
  const passPositions = atOnce ? LONGEST_PASS : POSITION_BUDGET;
  const bucket = atOnce ? coarseBucket : lengthBucket;
  const limits = { least: LEAST_CAPACITY[policy.joins], mostBytes: policy.cacheBytes ?? CACHE_BYTES };
  let cache = createCache(model, 0, 0);
  /** By slot. */
  let members: (Answer | null)[] = [];
  let waiting: readonly Answer[] = [];
  let hasRead = false;
  /** Answers whose kept positions were read as those of a long sequence. */
  const readAsLong = new WeakSet<Answer>();

  const places = (): Place[] => members.flatMap((answer, slot) => (answer === null ? [] : [{ slot, answer }]));
  const isLong = ({ ids }: Answer): boolean => isLongSequence(model.config, ids.length);
  /** Positions that must be read before the next token follows: one of an answer that goes on. */
  const unread = ({ slot, answer }: Place): number => answer.ids.length - cache.filled[slot]!;

  const vacate = ({ slot, answer }: Place): void => {
    policy.prefixes?.keep(answer.ids, isLong(answer), cache, slot);
    members[slot] = null;
    cache.filled[slot] = 0;
  };

  /** Those that have ended, or are to end, leave. */
  const leave = (): void => {
    for (const place of places()) {
      if (place.answer.open && place.answer.stopped()) endAnswer(place.answer);
      if (!place.answer.open) vacate(place);
    }
    const ended = waiting.filter((answer) => answer.stopped());
    waiting = waiting.filter((answer) => !ended.includes(answer));
    for (const answer of ended) endAnswer(answer);
  };

  /** Those that wait join as far as there is room; the cache grows and shrinks with what is in it. */
  const admit = (): void => {
    let going = places();
    const isTight = going.some(({ answer }) => answer.ids.length > cache.capacity);
    while (isTight && !fits(model, answersOf(going), limits)) {
      const shortest = going.reduce((a, b) => (b.answer.ids.length < a.answer.ids.length ? b : a));
      vacate(shortest);
      waiting = [shortest.answer, ...waiting];
      going = going.filter((place) => place !== shortest);
    }
    const joins = atOnce || isTight || 2 * going.length <= cache.slots;
    const joining = joins ? fitting(model, answersOf(going), waiting, limits) : [];
    waiting = waiting.slice(joining.length);
    const all = [...answersOf(going), ...joining];
    if (all.length === 0) {
      if (cache.slots > 0) regroup([], { slots: 0, capacity: 0 });
      return;
    }
    const shape = cacheShape(all, limits);
    const isSmall = isTight || all.length > cache.slots || joining.some(({ ids }) => ids.length > cache.capacity);
    const isLoose = cache.capacity > 4 * shape.capacity || (joining.length > 0 && !atOnce);
    if (isSmall || isLoose) regroup(all, shape);
    else {
      for (const answer of joining) members[members.indexOf(null)] = answer;
      compact();
    }
  };

  /** Answers in the first slots of a new cache, what they had read moved there. */
  const regroup = (answers: readonly Answer[], { slots, capacity }: CacheShape): void => {
    const grown = createCache(model, slots, capacity);
    answers.forEach((answer, slot) => {
      const from = members.indexOf(answer);
      if (from >= 0) copySlot(cache, from, grown, slot);
    });
    cache = grown;
    members = Array.from({ length: slots }, (_, slot) => answers[slot] ?? null);
  };

  /** Moves the last ones into free slots where the pass over all slots up to the last one then is half as large. */
  const compact = (): void => {
    const size = powerOfTwo(places().length);
    for (const { slot, answer } of places()) {
      if (slot < size) continue;
      const free = members.indexOf(null);
      copySlot(cache, slot, cache, free);
      members[free] = answer;
      members[slot] = null;
      cache.filled[slot] = 0;
    }
  };

  /** One token for each of these; the others are carried along, and what comes of them is ignored. */
  const step = async (all: readonly Place[]): Promise<void> => {
    const batch = powerOfTwo(1 + Math.max(...all.map(({ slot }) => slot)));
    const ids = new Int32Array(batch);
    for (const { slot, answer } of all) ids[slot] = answer.ids.at(-1)!;
    const counts = new Int32Array(batch).fill(1);
    // Before any of them grows by a token.
    const longs = all.filter(({ answer }) => isLong(answer));
    for (const [long, own] of [
      [false, all.filter((place) => !longs.includes(place))],
      [true, longs],
    ] as const) {
      if (own.length === 0) continue;
      const wanted = wantedOf(answersOf(own), decoder.allowed);
      const past = { cache, first: 0 };
      const result = await decoder.run({ batch, length: 1, isLong: long, ids, counts, past, ...wanted });
      for (const { slot, answer } of own) {
        store(cache, slot, result.fresh, slot, 1);
        drawToken(answer, result.followers(slot));
      }
    }
  };

  /** Takes over what other sequences have in common with these, and gives back those that nobody is about to read for them. */
  const adopt = (all: readonly Place[]): readonly Place[] => {
    const { prefixes } = policy;
    if (prefixes === null) return all;
    return all.filter((place, index) => {
      const { slot, answer } = place;
      const shared = sharedBy(place) ?? prefixes.find(answer.ids, isLong(answer));
      const count = Math.min(shared?.count ?? 0, answer.ids.length - 1);
      if (shared !== null && count > cache.filled[slot]!) {
        copySlot(shared.cache, shared.slot, cache, slot, count);
        answer.reused = count;
        if (isLong(answer)) readAsLong.add(answer);
      }
      return !all.slice(0, index).some((earlier) => {
        if (isLong(earlier.answer) !== isLong(answer)) return false;
        const common = commonLength(earlier.answer.ids, answer.ids);
        return common >= LEAST_SHARED && common > cache.filled[slot]! && unread(place) > 1;
      });
    });
  };

  /** The running sequence that has read most of what this one begins with. */
  const sharedBy = ({ slot, answer }: Place): SharedPositions | null => {
    let best: SharedPositions | null = null;
    for (const other of places()) {
      if (other.slot === slot || isLong(other.answer) !== isLong(answer)) continue;
      const count = Math.min(commonLength(other.answer.ids, answer.ids), cache.filled[other.slot]!);
      if (count >= LEAST_SHARED && count > (best?.count ?? 0)) best = { cache, slot: other.slot, count };
    }
    return best;
  };

  /** One pass over what some of these have not read yet. */
  const read = async (all: readonly Place[]): Promise<void> => {
    const ready = adopt(all).filter((place) => unread(place) > 1);
    if (ready.length === 0) return;
    // Together they would be read in hardly less time, and the first would wait for the last. Nobody waits for good behind
    // shorter ones: they have few slots, and are answered in them.
    const next = atOnce ? [ready.reduce((a, b) => (unread(b) < unread(a) ? b : a))] : ready;
    const begun = next.find(({ slot }) => cache.filled[slot]! > 0);
    await (begun === undefined ? readBeginnings(next) : readOn(begun));
  };

  /** Beginnings of prompts, as many as belong into one pass. */
  const readBeginnings = async (all: readonly Place[]): Promise<void> => {
    const extents = all.map(({ answer }) => ({
      length: Math.min(answer.ids.length, passPositions),
      rows: 1,
      isLong: isLong(answer),
    }));
    const [first] = planBatches(extents, passPositions, bucket);
    const { size, length, isLong: long, members: indices } = first!;
    const own = indices.map((index) => all[index]!);
    const ids = new Int32Array(size * length);
    const counts = new Int32Array(size).fill(1);
    own.forEach(({ answer }, b) => {
      counts[b] = Math.min(answer.ids.length, passPositions);
      ids.set(answer.ids.slice(0, counts[b]), b * length);
    });
    const wanted = wantedOf(answersOf(own), decoder.allowed);
    const result = await decoder.run({ batch: size, length, isLong: long, ids, counts, past: null, ...wanted });
    for (const [b, { slot, answer }] of own.entries()) {
      store(cache, slot, result.fresh, b, counts[b]!);
      if (long) readAsLong.add(answer);
      if (counts[b] === answer.ids.length) drawToken(answer, result.followers(b));
    }
  };

  /** A piece of a prompt after what its slot holds. */
  const readOn = async ({ slot, answer }: Place): Promise<void> => {
    const from = cache.filled[slot]!;
    const count = Math.min(answer.ids.length - from, pieceLength(model, cache.capacity));
    const length = bucket(count);
    const ids = new Int32Array(length);
    ids.set(answer.ids.slice(from, from + count));
    const past = { cache, first: slot };
    const wanted = wantedOf([answer], decoder.allowed);
    const result = await decoder.run({
      batch: 1,
      length,
      isLong: isLong(answer),
      ids,
      counts: [count],
      past,
      ...wanted,
    });
    store(cache, slot, result.fresh, 0, count);
    if (from + count === answer.ids.length) drawToken(answer, result.followers(0));
  };

  return {
    join: (answers) => {
      waiting = [...waiting, ...answers];
    },
    turn: async () => {
      leave();
      admit();
      const all = places();
      if (all.length === 0) return false;
      for (const { slot, answer } of all) {
        if (isLong(answer) && !readAsLong.has(answer)) cache.filled[slot] = 0;
      }
      const reading = all.filter((place) => unread(place) > 1);
      const going = all.filter((place) => unread(place) === 1);
      // Whoever is in the middle of an answer waits for one pass over prompts, not for all of them.
      hasRead = reading.length > 0 && !(atOnce && hasRead && going.length > 0);
      await (hasRead ? read(reading) : step(going));
      return true;
    },
  };
}

/** The length that a prompt is padded to: 16, and two lengths a doubling from there (24, 32, 48, 64, ...). */
function coarseBucket(length: number): number {
  const step = Math.max(8, 2 ** Math.floor(Math.log2(Math.max(1, length - 1))) / 2);
  return Math.max(16, Math.ceil(length / step) * step);
}
