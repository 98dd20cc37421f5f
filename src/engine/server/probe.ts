/**
 * The first question to a server: does it mean what is meant here? Its ids of a text, the width of its vocabulary, and
 * what it says of a label after two prompts, which also tells later whether it is still the same model.
 */
import { inputError } from "../../errors.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";
import type { Sequence } from "../engine.ts";
import type { Candidates } from "./candidates.ts";
import type { Server } from "./server.ts";

/** Cut otherwise by nearly every tokenizer: capitals, digits, code, accents, other scripts, an emoji, spaces. */
const TEXT =
  "The quick brown fox paid $1,234.50 for 17 jars at 09:45.\n\tfor (let i = 0; i < n; i++) sum += naïve[i];  Grüße, 你好, мир 🦊";
/** Before the label: the first prompt makes it likely, the second does not. */
const PROMPTS = ["one two three four one two three", "Grüße, 你好, мир"] as const;
const LABEL = " four";
/** Of each text, for the comparison of two starts. */
const TOP_K = 1;

/**
 * Mean difference of a label's log-probability, nats, up to which a model counts as the same. In bfloat16 other batches
 * move improbable labels by some hundredths; another model moves them by whole nats.
 */
const SAME_MODEL = 0.25;

export interface Probe {
  /** Log-probabilities of all labels of both prompts, nats. */
  readonly logps: readonly number[];
}

/** Throws what differs. `vocabulary` is the width of the head by the config. */
export async function probe(
  server: Server,
  folder: string,
  tokenizer: Tokenizer,
  vocabulary: number,
  candidates: Candidates,
): Promise<Probe> {
  const { href, model, kind } = server;
  const other = `another model or tokenizer than that of ${folder} is behind the address`;
  await checkIds(server, tokenizer, other);
  const sequences = await promptsOf(tokenizer);
  const wide = { model, sequences: sequences.slice(0, 1), topK: TOP_K };
  if (!(await server.hasToken({ ...wide, biased: vocabulary - 1 }, candidates))) {
    throw inputError(
      href,
      `${kind.title} does not know the token ${vocabulary - 1}, the last of the ${vocabulary} that config.json tells of: ${other}`,
    );
  }
  if (await server.hasToken({ ...wide, biased: vocabulary }, candidates)) {
    throw inputError(
      href,
      `${kind.title} knows the token ${vocabulary}, but config.json tells of ${vocabulary} tokens only, from 0: ${other}`,
    );
  }
  const reply = await server.rows({ model, sequences, topK: TOP_K }, candidates);
  if ("tooLong" in reply) throw inputError(href, `a prompt of a few words is too long for it: ${reply.tooLong}`);
  const logps = [...reply.labelLogp];
  const [first, second] = sequences.map(({ positions }) => positions.length) as [number, number];
  if (logps[first - 1] === logps[first + second - 1]) {
    throw inputError(href, `gives a label the same probability whatever its prompt; it does not read prompts`);
  }
  return { logps };
}

async function checkIds({ href, kind, textIds }: Server, tokenizer: Tokenizer, other: string): Promise<void> {
  const { ids } = await tokenizer.encode(TEXT);
  let told = await textIds(TEXT);
  // Some put their special token before a text, told or not.
  const [first] = told;
  if (told.length === ids.length + 1 && (first === null || (first !== undefined && tokenizer.isSpecial(first)))) {
    told = told.slice(1);
  }
  const at = told.findIndex((id, index) => id !== null && id !== ids[index]);
  if (at < 0 && told.length === ids.length) return;
  const place = at < 0 ? Math.min(told.length, ids.length) : at;
  const name = (id: number | null | undefined): string =>
    id === undefined || id === null
      ? "no token"
      : `the token ${id} (${JSON.stringify(tokenizer.tokenText(id) ?? "unknown")})`;
  throw inputError(
    href,
    `cuts a text otherwise: ${kind.title} has ${name(told[place])} where the tokenizer here has ${name(ids[place])}, of ${told.length} and ${ids.length} tokens: ${other}`,
  );
}

async function promptsOf(tokenizer: Tokenizer): Promise<Sequence[]> {
  const sequences: Sequence[] = [];
  for (const prompt of PROMPTS) {
    const { ids } = await tokenizer.encode(`${prompt}${LABEL}`);
    sequences.push({ ids, positions: Int32Array.from({ length: ids.length - 1 }, (_, index) => index + 1) });
  }
  return sequences;
}

/** Throws where a server speaks otherwise than it did. `before` and `now` are its answers to the same prompts. */
export function checkSameModel({ href, model }: Server, before: Probe, now: Probe): void {
  const difference =
    before.logps.length === now.logps.length
      ? now.logps.reduce((sum, logp, index) => sum + Math.abs(logp - before.logps[index]!), 0) / now.logps.length
      : Infinity;
  if (difference <= SAME_MODEL) return;
  throw inputError(
    href,
    `is no longer the model ${JSON.stringify(model)} that this folder was begun with: its log-probabilities of a text differ by ${difference.toFixed(2)} nats a token, expected at most ${SAME_MODEL}; start that model again, or give another --out`,
  );
}
