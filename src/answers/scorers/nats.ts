/**
 * Lowest nats per byte: every source reads every answer, and an answer is worth the negative mean of what it costs them a
 * byte. A source that cannot read all answers to a prompt has no say there, because means over different readers do not
 * compare. A reading is kept on the disk and not made twice.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { inputError } from "../../errors.ts";
import { openKeptLines } from "../../evaluate/kept-lines.ts";
import { type FolderSubject, openFolder } from "../../evaluate/subjects/folder.ts";
import type { Candidates } from "../candidate.ts";
import type { ScorerKind } from "./scorer.ts";

interface Reading {
  readonly key: string;
  readonly reader: string;
  /** null: the reader does not take the answer. */
  readonly nats_per_byte: number | null;
}

const reading: z.ZodType<Reading> = z.object({
  key: z.string(),
  reader: z.string(),
  nats_per_byte: z.number().nullable(),
});

/** Answers a reader is handed at once; what a kill loses at most. */
const AT_ONCE = 32;

export const nats: ScorerKind = {
  name: "nats",
  summary: "fewest nats per byte, on average over all sources, each of which reads every answer",
  open: async ({ sources, keep }, context) => {
    const readers: FolderSubject[] = [];
    for (const { subject, engine = context.engine } of sources) {
      if (subject.kind !== "folder") {
        throw inputError(subject.name, "gives answers only, and nats need every source to read the others' answers");
      }
      readers.push(await openFolder(subject, { ...context, engine }));
    }
    const lines = await openKeptLines(`${keep}-readings.jsonl`, reading, "a reading");

    const read = async (
      reader: FolderSubject,
      asked: readonly { prompt: Candidates["prompt"]; answer: Candidates["answers"][number] }[],
      signal: AbortSignal | undefined,
    ): Promise<(number | null)[]> => {
      const keys = asked.map(({ prompt, answer }) => readingKey(reader.identity, prompt, answer.text));
      const missing = [...keys.keys()].filter((index) => !lines.has(keys[index]!));
      for (let first = 0; first < missing.length; first += AT_ONCE) {
        const some = missing.slice(first, first + AT_ONCE);
        const pairs = some.map((index) => ({ dialogue: asked[index]!.prompt.dialogue, answer: asked[index]!.answer }));
        const values = await reader.natsPerByte(pairs, signal);
        for (const [place, index] of some.entries()) {
          await lines.append({ key: keys[index]!, reader: reader.name, nats_per_byte: values[place]! });
        }
      }
      const found: (number | null)[] = [];
      for (const key of keys) found.push((await lines.get(key))?.nats_per_byte ?? null);
      return found;
    };

    return {
      score: async (candidates, signal) => {
        const asked = candidates.flatMap(({ prompt, answers }) => answers.map((answer) => ({ prompt, answer })));
        const readings: (number | null)[][] = [];
        for (const reader of readers) {
          readings.push(await read(reader, asked, signal));
          await reader.putAway();
        }
        let first = 0;
        return candidates.map(({ answers }) => {
          const places = answers.map((_, answer) => first + answer);
          first += answers.length;
          return meanReadings(readings.map((byReader) => places.map((place) => byReader[place]!))).map((mean) =>
            mean === null ? null : -mean,
          );
        });
      },
      dispose: async () => {
        await lines.close();
        for (const reader of readers) await reader.dispose();
      },
    };
  },
};

/** [answers] the mean over the readers that read all of them; null for all where none did. */
export function meanReadings(readings: readonly (readonly (number | null)[])[]): (number | null)[] {
  const whole = readings.filter((byReader): byReader is readonly number[] => byReader.every((value) => value !== null));
  const answers = readings[0]?.length ?? 0;
  return Array.from({ length: answers }, (_, answer) =>
    whole.length === 0 ? null : whole.reduce((sum, byReader) => sum + byReader[answer]!, 0) / whole.length,
  );
}

function readingKey(identity: string, { dialogue: { turns } }: Candidates["prompt"], text: string): string {
  const parts = [identity, turns.map(({ role, content }) => [role, content]), text];
  return createHash("sha256").update(JSON.stringify(parts), "utf8").digest("hex");
}
