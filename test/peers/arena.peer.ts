/** Ratings of a battle file as FastChat publishes them, beside the maximum that SciPy finds. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rateModels } from "#src/evaluate/arena/ratings.js";
import { readVotes } from "#src/evaluate/arena/votes.js";
import { createRandom } from "#src/random.js";
import { describeWithPeers, runScript } from "./python.ts";

const MODELS = 12;
const BATTLES = 3000;

/** Battles of models whose strengths are 0.15 nats apart, three of ten tied, one of ten with the names in sight. */
function battles(): object[] {
  const random = createRandom("battles");
  return Array.from({ length: BATTLES }, (_, index) => {
    const left = random.integer(MODELS);
    const right = (left + 1 + random.integer(MODELS - 1)) % MODELS;
    const isWon = random.integer(2 ** 24) / 2 ** 24 < 1 / (1 + Math.exp(0.15 * (right - left)));
    const tie = ["tie", "tie (bothbad)"][random.integer(7)];
    return {
      question_id: String(index),
      model_a: `model-${left}`,
      model_b: `model-${right}`,
      winner: tie ?? (isWon ? "model_a" : "model_b"),
      judge: `arena_user_${index % 97}`,
      turn: 1,
      anony: random.integer(10) > 0,
      language: "English",
      tstamp: 1_700_000_000 + index,
    };
  });
}

describeWithPeers("ratings of a battle file", "no other program rated it", () => {
  test("are those that SciPy finds, to a millionth of a point", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fusechat-battles-"));
    try {
      const path = join(folder, "battles.json");
      await writeFile(path, JSON.stringify(battles()));
      const theirs = await runScript<Record<string, number>>(
        "rate_battles.py",
        { battles: path },
        { packages: "environment" },
      );
      const votes = await readVotes([path]);
      expect(votes.votes.length + votes.named).toBe(BATTLES);
      const { models } = rateModels(votes, path);
      expect(models.map(({ model }) => model).sort()).toEqual(Object.keys(theirs).sort());
      for (const { model, value } of models) expect(Math.abs(value - theirs[model]!), model).toBeLessThan(1e-6);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
