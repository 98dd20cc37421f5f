/**
 * Sampled truth on disk (`fusechat-fidelity-1`): places of real texts, and for each tokenizer how often every token
 * came next, in two independent halves of the same continuations.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inputError } from "../../errors.ts";
import { readSafetensors } from "../../formats/safetensors.ts";
import type { Place } from "./sample-rows.ts";

const FORMAT = "fusechat-fidelity-1";

export interface SampledPlace extends Place {
  /** True where the byte model was counted on this very text. */
  readonly seen: boolean;
  /** [256] the byte model's probability of each next byte. */
  readonly nextByte: Float32Array;
}

/** What a tokenizer made of a place. */
export interface SampledRow {
  /** The token that really follows, -1 where none starts here. */
  readonly label: number;
  /** Counts of the two halves by token id. */
  readonly first: ReadonlyMap<number, number>;
  readonly second: ReadonlyMap<number, number>;
}

export interface SampledFile {
  readonly modelSha256: string;
  /** The texts that the byte model was counted on: file, lines, and the field (null: the assistant's messages). */
  readonly modelTexts: readonly (readonly [string, number, string | null])[];
  readonly places: readonly SampledPlace[];
  /** [places] by tokenizer. */
  readonly rows: ReadonlyMap<string, readonly SampledRow[]>;
}

export async function readSampledFile(path: string): Promise<SampledFile> {
  const { tensors, metadata } = await readSafetensors(path);
  if (metadata.format !== FORMAT) {
    throw inputError(path, `expected the format ${FORMAT}, found ${metadata.format ?? "none"}`);
  }
  const column = (name: string): ArrayLike<number> => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw inputError(path, `has no tensor "${name}"`);
    return tensor.data as unknown as ArrayLike<number>;
  };
  const bytes = (name: string, place: number): Uint8Array => {
    const start = column(`${name}_start`);
    return (column(name) as Uint8Array).slice(start[place], start[place + 1]);
  };
  const nextByte = column("next_byte") as Float32Array;
  const seen = column("seen");
  const places = Array.from(seen, (flag, place) => ({
    context: bytes("context", place),
    prompt: bytes("prompt", place),
    after: bytes("after", place),
    seen: flag === 1,
    nextByte: nextByte.slice(256 * place, 256 * (place + 1)),
  }));
  const rows = new Map<string, SampledRow[]>();
  for (const name of (metadata.tokenizers ?? "").split(" ")) {
    const [start, id] = [column(`${name}.start`), column(`${name}.id`)];
    const counts = (half: string, place: number): Map<number, number> => {
      const count = column(`${name}.${half}`);
      const found = new Map<number, number>();
      for (let e = start[place]!; e < start[place + 1]!; e++) if (count[e]! > 0) found.set(id[e]!, count[e]!);
      return found;
    };
    const label = column(`${name}.label`);
    rows.set(
      name,
      places.map((_, place) => ({
        label: label[place]!,
        first: counts("count_a", place),
        second: counts("count_b", place),
      })),
    );
  }
  return {
    modelSha256: metadata.model_sha256 ?? "",
    modelTexts: JSON.parse(metadata.model_texts ?? "[]"),
    places,
    rows,
  };
}

/** The texts of a byte model from the folder that holds their files. */
export function readModelTexts(folder: string, files: SampledFile["modelTexts"]): string[] {
  return files.flatMap(([file, count, field]) =>
    readFileSync(join(folder, file), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .slice(0, count)
      .flatMap((text) => {
        const line = JSON.parse(text);
        if (field !== null) return [line[field] as string];
        const messages = line.messages as { role: string; content: string }[];
        return messages.filter(({ role }) => role === "assistant").map(({ content }) => content);
      }),
  );
}
