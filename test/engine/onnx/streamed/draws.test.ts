import { expect, test } from "vitest";
import { createDraws, drawBlock, finishDraws } from "#src/engine/onnx/streamed/draws.js";
import { createRandom } from "#src/random.js";

const [ROWS, IDS, K] = [40, 60, 8];

test("drawing block by block is drawing from the whole row, whatever the blocks", () => {
  const random = createRandom("streamed draws");
  const logits = Float32Array.from({ length: ROWS * IDS }, () => 3 * random.normal());
  const uniform = Float32Array.from({ length: ROWS }, () => random.integer(2 ** 24) / 2 ** 24);
  const sums = Float64Array.from({ length: ROWS }, (_, row) =>
    Math.log(logits.subarray(row * IDS, (row + 1) * IDS).reduce((sum, logit) => sum + Math.exp(logit), 0)),
  );
  const drawnIn = (block: number) => {
    const draws = createDraws(sums, uniform, K);
    for (let first = 0; first < IDS; first += block) {
      for (const [from, to] of [
        [0, 15],
        [15, ROWS],
      ] as const) {
        const part = Array.from({ length: to - from }, (_, n) =>
          logits.subarray((from + n) * IDS + first, (from + n) * IDS + first + block),
        );
        drawBlock(draws, from, first, block, Float32Array.from(part.flatMap((row) => [...row])));
      }
    }
    return finishDraws(draws);
  };
  const whole = drawnIn(IDS);
  expect(drawnIn(20)).toEqual(whole);
  for (let row = 0; row < ROWS; row++) {
    const expected = new Map<number, number>();
    for (let place = 0; place < K; place++) {
      let sum = 0;
      for (let id = 0; id < IDS; id++) {
        sum += Math.exp(logits[row * IDS + id]! - sums[row]!);
        if (K * sum <= place + uniform[row]! && id < IDS - 1) continue;
        expected.set(id, (expected.get(id) ?? 0) + 1);
        break;
      }
    }
    const order = [...expected].sort(([a, m], [b, n]) => n - m || a - b);
    for (let k = 0; k < K; k++) {
      const [id, count] = order[k] ?? [0, 0];
      expect([whole.topId[row * K + k], whole.topLogp[row * K + k]]).toEqual([id, Math.fround(Math.log(count / K))]);
    }
  }
});

test("the last place of a row whose sum was rounded down is the last id's", () => {
  const draws = createDraws(Float64Array.of(Math.log(2) + 1e-6), Float32Array.of(1 - 2 ** -24), 2);
  drawBlock(draws, 0, 0, 2, Float32Array.of(0, 0));
  const { topLogp } = finishDraws(draws);
  expect(topLogp.reduce((sum, logp) => sum + Math.exp(logp), 0)).toBeCloseTo(1, 6);
});
