/** What a training reads does not depend on how its shards are cut, and is gone when it ends. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { AlignedShard } from "#src/align/shard.js";
import { readAlignedShard, writeAlignedShard } from "#src/align/shard-file.js";
import { shardName } from "#src/distributions/folder.js";
import { readDistributionsShard, writeDistributionsShard } from "#src/distributions/shard-file.js";
import type { TrainSequence, TrainStep } from "#src/engine/engine.js";
import { openLessonFile } from "#src/fuse/lesson-file.js";
import { LEVELS } from "#src/fuse/options.js";
import { cutShard } from "../distributions/shard-fixture.ts";
import { fakeEngine } from "./fake-engine.ts";
import { aligned, folder, fuse, options, pivot, source, useFolder } from "./golden-stage.ts";

useFolder();

function cutAligned(shard: AlignedShard, from: number, to: number): AlignedShard {
  const [first, last] = [shard.rowStart[from]!, shard.rowStart[to]!];
  const width = shard.topId.length / shard.sourceRow.length;
  return {
    metadata: shard.metadata,
    conversation: shard.conversation.slice(from, to),
    rowStart: shard.rowStart.slice(from, to + 1).map((row) => row - first),
    sourceRow: shard.sourceRow.slice(first, last),
    topId: shard.topId.slice(width * first, width * last),
    topLogp: shard.topLogp.slice(width * first, width * last),
    pivotNats: shard.pivotNats.slice(from, to),
    sourceNats: shard.sourceNats.slice(from, to),
    pivotBytes: shard.pivotBytes.slice(from, to),
    sourceBytes: shard.sourceBytes.slice(from, to),
  };
}

/** Writes the parts of a folder's only shard between the cuts, as shards of another folder. */
async function cutFolder<Shard>(
  from: string,
  name: string,
  cuts: readonly number[],
  format: {
    read: (path: string) => Promise<Shard>;
    cut: (shard: Shard, from: number, to: number) => Shard;
    write: (path: string, shard: Shard) => Promise<void>;
  },
): Promise<string> {
  const shard = await format.read(join(from, shardName(0)));
  for (let part = 0; part + 1 < cuts.length; part++) {
    await format.write(join(folder, name, shardName(part)), format.cut(shard, cuts[part]!, cuts[part + 1]!));
  }
  return join(folder, name);
}

const distributions = { read: readDistributionsShard, cut: cutShard, write: writeDistributionsShard };

describe.each(LEVELS)("at level %s", (level) => {
  let whole: readonly TrainStep[];
  const stepsOf = async (out: string, changes: Parameters<typeof options>[1]): Promise<readonly TrainStep[]> => {
    const engine = fakeEngine();
    await fuse(options(out, { level, ...changes }), engine);
    return engine.steps;
  };
  const own = level === "row" ? { source } : {};
  beforeAll(async () => {
    whole = await stepsOf(`whole-${level}`, own);
  });

  test("many shards teach what one does, the source's cut elsewhere", async () => {
    const cuts = [0, 1, 3, 3, 8];
    const pivots = await cutFolder(pivot, `pivots-${level}`, cuts, distributions);
    const aligneds = await cutFolder(aligned, `aligneds-${level}`, cuts, {
      read: readAlignedShard,
      cut: cutAligned,
      write: writeAlignedShard,
    });
    const sources = await cutFolder(source, `sources-${level}`, [0, 2, 5, 6, 8], distributions);
    const steps = await stepsOf(`many-${level}`, {
      pivot: pivots,
      aligned: aligneds,
      ...(level === "row" ? { source: sources } : {}),
    });
    expect(steps.length).toBe(12);
    expect(steps).toEqual(whole);
  });

  test("nothing but the target is left of it", async () => {
    expect((await readdir(join(folder, `whole-${level}`))).filter((name) => /tmp|lock|^\./.test(name))).toEqual([]);
  });
});

test.each([
  [2, true],
  [1, false],
])("lessons of width %i are read back as they were written, those without rows among them", async (width, hasTail) => {
  const file = await openLessonFile(folder, width, hasTail);
  const lesson = (ids: number[], positions: number[]): TrainSequence => ({
    ids: Int32Array.from(ids),
    positions: Int32Array.from(positions),
    targetId: Int32Array.from({ length: width * positions.length }, (_, k) => 7 + k),
    targetProbability: Float32Array.from({ length: width * positions.length }, (_, k) => 1 / (3 + k)),
    tailProbability: hasTail ? Float32Array.from(positions, (position) => 1 / (9 + position)) : null,
  });
  const lessons = [lesson([1, 2, 3], [1, 2]), lesson([], []), lesson([7], []), lesson([9, 8], [1])];
  for (const one of lessons.slice(0, 3)) await file.append(one);
  expect(await file.read(0)).toEqual(lessons[0]);
  await file.append(lessons[3]!);
  for (const [place, expected] of lessons.entries()) expect(await file.read(place)).toEqual(expected);
  await file.dispose();
  expect((await readdir(folder)).filter((name) => name.startsWith("lessons"))).toEqual([]);
});
