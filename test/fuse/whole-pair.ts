/** All conversations of a pair at once, for tests that look at them side by side: each as a training reads it. */
import { openPair, type Pair } from "#src/fuse/pair.js";
import type { PairConversation } from "#src/fuse/pair-conversation.js";

export async function readPair(
  options: Parameters<typeof openPair>[0],
): Promise<Pair & { readonly conversations: readonly PairConversation[] }> {
  const pair = await openPair(options);
  const conversations: PairConversation[] = [];
  // What a shard gives out lies in memory that the next one takes.
  for await (const shard of pair.shards()) conversations.push(...structuredClone(shard));
  return { ...pair, conversations };
}
