/** The tokens at which a model's answer ends: those that its files name, and the one its template ends an answer with. */
import { readSpecialTokens } from "../tokenizer/special.ts";
import type { Turn } from "./conversation.ts";
import type { ConversationTokeniser } from "./tokenise.ts";

/** Ids at which generation ends, each once. */
export async function readStopIds(folder: string, tokeniser: ConversationTokeniser): Promise<number[]> {
  const { stopIds } = await readSpecialTokens(folder);
  return [...new Set([...stopIds, ...(await endOfTurnOf(tokeniser))])];
}

/**
 * The token with which the template ends an answer. Some folders name another token as eos (that of plain texts), and
 * the model would go on to write the user's next turn.
 */
async function endOfTurnOf(tokeniser: ConversationTokeniser): Promise<number[]> {
  const turns: Turn[] = [
    { role: "user", content: "Hi" },
    { role: "assistant", content: "Hello" },
  ];
  const [tokenised] = await tokeniser.tokenise([{ id: "", turns }], 0);
  if (tokenised === undefined || "refused" in tokenised) return [];
  const { ids, rows } = tokenised;
  return Array.from(rows.endOfTurn, (row) => ids[rows.position[row]!]!);
}
