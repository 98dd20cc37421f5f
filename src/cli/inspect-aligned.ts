/**
 * What `inspect` says of aligned shards: the figures of the shards themselves, and what their `alignment.json` tells
 * besides: mass kept and lost, where it went, and passages under both tokenisations.
 */
import { dirname, join } from "node:path";
import { ALIGNMENT_FILE } from "../align/align.ts";
import { readAlignedShard } from "../align/shard-file.ts";
import { exists, readJson } from "../formats/files.ts";
import { type Alignment, alignmentDocument } from "../report/run-documents.ts";
import { formatPassage, inlineToken } from "./passage-lines.ts";
import { formatTable } from "./table.ts";

/** Of these kinds as many are printed; `--json` has all. */
const PASSAGES = 2;
const PAIRS = 10;

export interface AlignedSummary {
  readonly [key: string]: unknown;
  readonly kind: "aligned";
  /** Where the folder has a file of that name, and it is what this program writes. */
  readonly alignment?: Alignment;
}

export async function summariseAligned(
  paths: readonly string[],
  path: string,
  metadata: Readonly<Record<string, unknown>>,
): Promise<AlignedSummary> {
  let conversations = 0;
  let rows = 0;
  let shared = 0;
  const pivot = { nats: 0, bytes: 0 };
  const source = { nats: 0, bytes: 0 };
  let sourceBetter = 0;
  for (const shardPath of paths) {
    const shard = await readAlignedShard(shardPath);
    conversations += shard.conversation.length;
    rows += shard.sourceRow.length;
    for (const row of shard.sourceRow) shared += row >= 0 ? 1 : 0;
    for (let n = 0; n < shard.conversation.length; n++) {
      pivot.nats += shard.pivotNats[n]!;
      pivot.bytes += shard.pivotBytes[n]!;
      source.nats += shard.sourceNats[n]!;
      source.bytes += shard.sourceBytes[n]!;
      const sourceRate = shard.sourceBytes[n]! > 0 ? shard.sourceNats[n]! / shard.sourceBytes[n]! : Infinity;
      if (sourceRate < shard.pivotNats[n]! / shard.pivotBytes[n]!) sourceBetter += 1;
    }
  }
  const alignment = paths[0] === path ? undefined : await readAlignment(join(dirname(paths[0]!), ALIGNMENT_FILE));
  return {
    kind: "aligned",
    path,
    shards: paths.length,
    conversations,
    conversations_where_source_is_better: sourceBetter,
    rows,
    shared_rows: shared,
    shared_share: rows > 0 ? shared / rows : null,
    pivot_nats_per_byte: pivot.bytes > 0 ? pivot.nats / pivot.bytes : null,
    source_nats_per_byte: source.bytes > 0 ? source.nats / source.bytes : null,
    metadata,
    ...(alignment !== undefined && { alignment }),
  };
}

/** Undefined where there is none yet, or another program wrote it. */
async function readAlignment(path: string): Promise<Alignment | undefined> {
  if (!(await exists(path))) return undefined;
  const document = await readJson(path);
  // The whole of it, token ids and all, which the check leaves out.
  return alignmentDocument.safeParse(document).success ? (document as Alignment) : undefined;
}

export function formatAligned({ alignment, ...figures }: AlignedSummary): string {
  const blocks = [formatTable(figures)];
  if (alignment !== undefined) {
    blocks.push(formatCoverage(alignment));
    if ((alignment.mapped_pairs ?? []).length > 0) blocks.push(formatPairs(alignment));
    for (const passage of (alignment.passages ?? []).slice(0, PASSAGES)) blocks.push(formatPassage(passage));
  }
  return blocks.join("\n\n");
}

function formatCoverage(alignment: Alignment): string {
  const { strategies, vocabulary } = alignment;
  const { label_mass = "none", divide = "counts", within } = alignment;
  const used = { vocabulary, label_mass, divide, ...(within !== undefined && { within }) };
  const masses = {
    stored: percent(alignment.mass_stored),
    kept: percent(alignment.mass_kept),
    lost: percent(alignment.mass_lost),
    cut: percent(alignment.mass_cut),
  };
  // What the map alone does in shared rows; `label_mass` and `divide` change it row by row.
  const destinations = alignment.mass_to_equal_bytes !== undefined && {
    mass_that_the_map_sends: {
      "to the same bytes": percent(alignment.mass_to_equal_bytes),
      "to other bytes": percent(alignment.mass_to_other_bytes ?? 0),
      "to end of turn": percent(alignment.mass_to_end_of_turn ?? 0),
    },
  };
  const byStrategy = columns([
    ["strategy", "tokens", "placed", "mass kept", "mass lost"],
    ...Object.entries(strategies).map(([name, figures]) => [
      name === vocabulary ? `${name} *` : name,
      String(figures.tokens),
      String(figures.placed_tokens),
      percent(figures.mass_kept),
      percent(figures.mass_lost),
    ]),
  ]);
  return `${formatTable({ options: used, mass_of_a_shared_row: masses, ...destinations })}\n\n${byStrategy}`;
}

function formatPairs({ mapped_pairs: pairs = [] }: Alignment): string {
  const lines = pairs.slice(0, PAIRS).map(({ text, mass, mass_moved, places, further_places }) => {
    const to = places.map((place) => `${inlineToken(place.text)} ${percent(place.mass / mass)}`).join("  ");
    const more = further_places > 0 ? `  and ${further_places} more` : "";
    return [inlineToken(text), percent(mass), percent(mass_moved), places.length === 0 ? "no place" : to + more];
  });
  return `most mass that does not go to the same bytes\n${columns([["source token", "mass", "elsewhere", "goes to"], ...lines])}`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => [...row[column]!].length)));
  return rows
    .map((row) => `  ${row.map((cell, i) => cell + " ".repeat(widths[i]! - [...cell].length)).join("  ")}`.trimEnd())
    .join("\n");
}
