/** Runs lowered graphs on the runtime directly: what goes in and comes out are plain arrays. */
import { InferenceSession, Tensor } from "onnxruntime-node";

export type Feed = readonly [data: Float32Array | Float64Array | Int32Array, shape: readonly number[]];

export type Results = Readonly<Record<string, Float32Array | Float64Array | Int32Array>>;

export interface Runnable {
  readonly onnx: Uint8Array;
  readonly inputs: readonly string[];
}

/** A session, and a function that runs it on those of the feeds it reads. */
export async function openGraph(graph: Runnable): Promise<(feeds: Readonly<Record<string, Feed>>) => Promise<Results>> {
  const session = await InferenceSession.create(graph.onnx, { enableMemPattern: false, intraOpNumThreads: 1 });
  return async (feeds) => {
    const tensors: Record<string, Tensor> = {};
    for (const name of graph.inputs) {
      const feed = feeds[name];
      if (feed === undefined) throw new Error(`no feed for ${name}`);
      tensors[name] = tensor(feed);
    }
    const results = await session.run(tensors);
    return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
  };
}

export async function runGraph(graph: Runnable, feeds: Readonly<Record<string, Feed>>): Promise<Results> {
  return (await openGraph(graph))(feeds);
}

function tensor([data, shape]: Feed): Tensor {
  if (data instanceof Float32Array) return new Tensor("float32", data, [...shape]);
  if (data instanceof Float64Array) return new Tensor("float64", data, [...shape]);
  return new Tensor("int32", data, [...shape]);
}
