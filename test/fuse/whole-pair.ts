/** All conversations of a pair at once, for tests that look at them side by side: each as a training reads it. */
import { openPair, type Pair, type PairConversation } from "#src/fuse/pair.js";

export async function readPair(
  options: Parameters<typeof openPair>[0],
): Promise<Pair & { readonly conversations: readonly PairConversation[] }> {
  const pair = await openPair(options);
  let count = 0;
  for await (const shard of pair.shards()) count += shard.length;
  const conversations: PairConversation[] = [];
  for (let place = 0; place < count; place++) conversations.push(await pair.read(place));
  return { ...pair, conversations };
}
