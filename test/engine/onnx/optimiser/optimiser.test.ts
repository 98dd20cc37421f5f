/** Any number of threads gives the same bits, and memory comes back from them. */
import { expect, test } from "vitest";
import { ADAMW } from "#src/engine/engine.js";
import { type Parameter, PLAIN_KERNELS, updateOf } from "#src/engine/onnx/optimiser/adamw.js";
import { type Optimiser, openOptimiser, usefulThreads } from "#src/engine/onnx/optimiser/optimiser.js";
import { createRandom } from "#src/random.js";

const HIDDEN = 6;
const TENSORS = [
  { name: "embedding", length: 50 * HIDDEN },
  { name: "a", length: 9001 },
  { name: "norm", length: HIDDEN },
  { name: "b", length: 4000 },
  { name: "c", length: 77 },
];
const IDS = Int32Array.of(3, 49, 3, 0);

const values = (seed: string, length: number): Float32Array<ArrayBuffer> => {
  const random = createRandom(seed);
  return Float32Array.from({ length }, () => random.normal() * 2 ** random.integer(20));
};

function parameters(): Map<string, Parameter> {
  return new Map(
    TENSORS.map(({ name, length }) => [
      name,
      {
        weight: values(`weight ${name}`, length),
        mean: new Float32Array(length),
        square: new Float32Array(length),
        decays: name !== "norm",
      },
    ]),
  );
}

/** Gradients of one micro-batch. The embedding has none but that of its rows where `tied` is false. */
function gradients(batch: string, tied = true): Map<string, Float32Array<ArrayBuffer>> {
  const named = TENSORS.filter(({ name }) => tied || name !== "embedding");
  return new Map(named.map(({ name, length }) => [name, values(`${batch} ${name}`, length)]));
}

const rows = (batch: string) => ({ ids: IDS, rows: values(`${batch} rows`, IDS.length * HIDDEN) });

/** Two steps of two micro-batches, and a third without rows. */
async function train(optimiser: Optimiser): Promise<{ norms: number[]; state: Map<string, Parameter> }> {
  const state = parameters();
  const norms: number[] = [];
  for (const step of [1, 2, 3]) {
    for (const batch of step < 3 ? [`${step} first`, `${step} second`] : []) {
      await optimiser.add(gradients(batch, step === 1), rows(batch));
    }
    norms.push(await optimiser.norm());
    await optimiser.update(state, updateOf(step, 0.01, 0.3, { ...ADAMW, weightDecay: 0.1 }));
  }
  return { norms, state };
}

/** The same by plain loops, in this thread. */
function trainPlainly(): { norms: number[]; state: Map<string, Parameter> } {
  const state = parameters();
  const norms: number[] = [];
  for (const step of [1, 2, 3]) {
    const sums = new Map(TENSORS.map(({ name, length }) => [name, new Float32Array(length)]));
    for (const batch of step < 3 ? [`${step} first`, `${step} second`] : []) {
      for (const [name, gradient] of gradients(batch, step === 1)) PLAIN_KERNELS.addTo(sums.get(name)!, gradient);
      const looked = rows(batch).rows;
      const embedding = sums.get("embedding")!;
      looked.forEach((value, index) => {
        const place = IDS[Math.floor(index / HIDDEN)]! * HIDDEN + (index % HIDDEN);
        embedding[place] = embedding[place]! + value;
      });
    }
    norms.push(Math.sqrt([...sums.values()].reduce((sum, values) => sum + PLAIN_KERNELS.sumOfSquares(values), 0)));
    const update = updateOf(step, 0.01, 0.3, { ...ADAMW, weightDecay: 0.1 });
    for (const [name, sum] of sums) PLAIN_KERNELS.update(state.get(name)!, sum, update);
  }
  return { norms, state };
}

test.each([1, 2, 3, 7])("%d threads give what plain loops give, to the bit", async (threads) => {
  const optimiser = openOptimiser(TENSORS, "embedding", threads);
  try {
    const { norms, state } = await train(optimiser);
    const wanted = trainPlainly();
    expect(norms).toEqual(wanted.norms);
    expect(norms[2]).toBe(0);
    expect([...state.keys()]).toEqual(TENSORS.map(({ name }) => name));
    for (const [name, { weight, mean, square }] of wanted.state) {
      const found = state.get(name)!;
      expect([name, found.weight]).toEqual([name, weight]);
      expect([name, found.mean]).toEqual([name, mean]);
      expect([name, found.square]).toEqual([name, square]);
    }
  } finally {
    await optimiser.dispose();
  }
});

test("sums that are dropped leave no trace", async () => {
  const optimiser = openOptimiser(TENSORS, "embedding", 2);
  try {
    await optimiser.add(gradients("dropped"), rows("dropped"));
    expect(await optimiser.norm()).toBeGreaterThan(0);
    await optimiser.forget();
    expect(await optimiser.norm()).toBe(0);
    expect((await train(optimiser)).norms).toEqual(trainPlainly().norms);
  } finally {
    await optimiser.dispose();
  }
});

test("small models are one thread's work, and threads have a limit", () => {
  expect(usefulThreads(1e6, 4)).toBe(1);
  expect(usefulThreads(9e6, 4)).toBe(2);
  expect(usefulThreads(135e6, 2)).toBe(2);
  expect(usefulThreads(135e6, 64)).toBe(8);
});
