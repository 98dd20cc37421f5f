/**
 * The alignment stage: the source's distributions brought to the pivot's rows and vocabulary. Two walks over the
 * shards, on all cores: the first aligns rows and counts (survey.ts), then the vocabulary map is built, and the second
 * transfers and writes one aligned shard for each of the pivot's. `alignment.json` comes last and tells what was shared
 * and lost. The result is the same for every number of threads.
 */
import { join } from "node:path";
import { checkSettings, listShards, readSettings, writeSettings } from "../distributions/folder.ts";
import type { DistributionsMetadata } from "../distributions/shard.ts";
import { readDistributionsMetadata } from "../distributions/shard-file.ts";
import type { StageContext } from "../engine/context.ts";
import { inputError, throwIfInterrupted } from "../errors.ts";
import { sha256OfFiles, writeJson } from "../formats/files.ts";
import { lockFolder } from "../formats/lock.ts";
import { batched } from "../tokenizer/batched.ts";
import { openTokenWorker, type TokenWorker } from "../tokenizer/token-work.ts";
import { programOf } from "../version.ts";
import { destinations } from "./examples/mapped-pairs.ts";
import { DEFAULT_LABEL_MASS, findLabelMass } from "./label-mass.ts";
import { DEFAULT_DIVISION, findDivision } from "./preference.ts";
import { type AlignmentSummary, alignmentFigures, summarise } from "./report.ts";
import { findSequence } from "./sequences/index.ts";
import { readShardTokens } from "./shard-tokens.ts";
import { type NeverFollowing, neverFollowing } from "./spaces/following.ts";
import type { SparseMap } from "./sparse-map.ts";
import { findStrategy, STRATEGIES } from "./strategies/index.ts";
import type { StrategyInput } from "./strategies/strategy.ts";
import { mergeSurveys, type Survey } from "./survey.ts";
import { shareVocabulary } from "./units/shared-vocabulary.ts";
import { usefulThreads, withUnitPool } from "./units/unit-pool.ts";
import { listUnits } from "./units/units.ts";
import { readVocabulary, type Vocabulary } from "./vocabulary.ts";
import { buildVocabularyMap, type PlacedMass, placedMass } from "./vocabulary-map.ts";
import { DEFAULT_WITHIN, findWithin } from "./within/within.ts";
import { writeAlignedFolder } from "./write-folder.ts";

export const ALIGNMENT_FILE = "alignment.json";

export interface AlignOptions {
  /** Folders of shards. */
  readonly pivot: string;
  readonly source: string;
  readonly out: string;
  /** Name of a vocabulary strategy. */
  readonly vocabulary: string;
  /** Name of a sequence alignment. */
  readonly sequence: string;
  /** Entries kept a row; default twice the source's top_k. */
  readonly width?: number;
  /** `chain`: the pivot's label has the probability that the source gives to its text; default `none`. */
  readonly labelMass?: string;
  /** `pivot`: divided masses follow what the pivot expects at the row; default `counts`. */
  readonly divide?: string;
  /** `conditional`: rows within a token of the source have its distribution given what was read; default `none`. */
  readonly within?: string;
  /** Model folders, where no tokenizers lie beside the shards. */
  readonly pivotModel?: string;
  readonly sourceModel?: string;
  /** Threads that share the work; default as many as there are cores, fewer for small folders. */
  readonly threads?: number;
}

/** Widest row of an aligned shard; beyond that a row is no longer sparse. */
const LARGEST_WIDTH = 65_535;

/** Aligns a source to a pivot and writes `out`. The same inputs give the same bytes. */
export async function alignDistributions(
  options: AlignOptions,
  context: Omit<StageContext, "engine">,
): Promise<AlignmentSummary> {
  const lock = await lockFolder(options.out);
  try {
    return await writeAlignment(options, context);
  } finally {
    await lock.release();
  }
}

/** In a folder that nobody else writes to meanwhile. */
async function writeAlignment(options: AlignOptions, context: Omit<StageContext, "engine">): Promise<AlignmentSummary> {
  const sequence = findSequence(options.sequence);
  const strategy = findStrategy(options.vocabulary);
  const labelMass = findLabelMass(options.labelMass ?? DEFAULT_LABEL_MASS);
  const divide = findDivision(options.divide ?? DEFAULT_DIVISION);
  const within = findWithin(options.within ?? DEFAULT_WITHIN);
  const pivotShards = await listShards(options.pivot);
  const sourceShards = await listShards(options.source);
  await checkSameData(options);
  const pivot = await readDistributionsMetadata(pivotShards[0]!);
  const source = await readDistributionsMetadata(sourceShards[0]!);
  checkSamePrompting(options, pivot, source);
  const width = options.width ?? 2 * source.topK;
  if (!Number.isSafeInteger(width) || width < 1 || width > LARGEST_WIDTH) {
    throw inputError("align", `expected a width of 1 to ${LARGEST_WIDTH}, found ${width}`);
  }
  const readingPivot = readShardTokens(options.pivot, pivot, options.pivotModel, "--pivot-model");
  const readSource = () => readShardTokens(options.source, source, options.sourceModel, "--source-model");
  const reading = [
    sha256OfFiles(pivotShards),
    sha256OfFiles(sourceShards),
    readingPivot,
    // After the other: a large file is 100 MB and more while it is parsed.
    readingPivot.then(readSource, readSource),
  ] as const;
  // Of several errors the first in this order is told.
  await Promise.allSettled(reading);
  const [pivotSha256, sourceSha256, pivotTokens, sourceTokens] = await Promise.all(reading);
  const settings = {
    pivot: pivot.model,
    source: source.model,
    sequence: sequence.name,
    vocabulary: strategy.name,
    // Told where it is not the default, so that a folder made before there was a choice is still the same.
    ...(labelMass === DEFAULT_LABEL_MASS ? {} : { label_mass: labelMass }),
    ...(divide === DEFAULT_DIVISION ? {} : { divide }),
    ...(within === DEFAULT_WITHIN ? {} : { within }),
    width,
    pivot_sha256: pivotSha256,
    source_sha256: sourceSha256,
  };
  await checkSettings(options.out, settings);
  const pair = {
    pivotVocabulary: readVocabulary(pivotTokens.table, pivot.vocabulary),
    sourceVocabulary: readVocabulary(sourceTokens.table, source.vocabulary),
  };
  const units = await listUnits(options.pivot, options.source);

  const stage = `align ${source.model}`;
  const total = 2 * units.length;
  let done = 0;
  const onUnit = (): void => {
    done++;
    context.reporter.report({ type: "progress", stage, done, total, unit: "shards" });
    throwIfInterrupted(context.signal, stage);
  };
  context.reporter.report({ type: "start", stage, total, unit: "shards" });
  const setup = {
    pivotVocabulary: shareVocabulary(pair.pivotVocabulary),
    sourceVocabulary: shareVocabulary(pair.sourceVocabulary),
    sequence: sequence.name,
    within,
  };
  const threads = options.threads ?? (await usefulThreads(units));
  const { sharedRows, survey } = await withUnitPool(setup, threads, async (pool) => ({
    sharedRows: await pool.each(units.length, async (work, unit) => {
      const shared = await work.survey(units[unit]!);
      onUnit();
      return shared;
    }),
    survey: mergeSurveys(await pool.all((work) => work.surveyed(null)), pair.sourceVocabulary),
  }));
  if (survey.sharedConversations === 0) {
    throw inputError(
      options.source,
      `has none of the conversations of ${options.pivot}; both must come from the same data`,
    );
  }
  // No thread of either walk is there meanwhile: a large tokenizer is read once more.
  const { map, placed, never } = await buildMaps(strategy.name, pair, pivotTokens.folder, survey);

  await writeSettings(options.out, settings, { kind: "alignment" });
  const { pivot_sha256: _pivot, source_sha256: _source, width: _width, ...metadata } = settings;
  const plan = {
    out: options.out,
    metadata,
    map,
    texts: survey.texts.map(({ bytes }) => bytes),
    width,
    labelMass,
    divide,
    within,
    never,
  };
  const tokens = { pivot: pivotTokens.table, source: sourceTokens.table };
  const written = await withUnitPool(setup, threads, (pool) =>
    writeAlignedFolder(pool, units, sharedRows, plan, tokens, onUnit),
  );
  const went = destinations(
    map,
    survey,
    { tokens: tokens.pivot, vocabulary: pair.pivotVocabulary },
    { tokens: tokens.source, vocabulary: pair.sourceVocabulary },
  );
  const summary = summarise(settings, source.topK, survey, placed, went, written);
  await writeJson(join(options.out, ALIGNMENT_FILE), { program: programOf("alignment"), ...summary });
  context.reporter.report({
    type: "end",
    stage,
    summary: summaryLine(summary),
    figures: alignmentFigures(summary),
  });
  return summary;
}

/** The chosen strategy's map, what every strategy does with the same mass, and what the pivot never writes behind its spaces. */
async function buildMaps(
  chosen: string,
  {
    pivotVocabulary,
    sourceVocabulary,
  }: { readonly pivotVocabulary: Vocabulary; readonly sourceVocabulary: Vocabulary },
  pivotFolder: string,
  survey: Survey,
): Promise<{ map: SparseMap; placed: ReadonlyMap<string, PlacedMass>; never: NeverFollowing }> {
  const finder = createFirstTokenFinder(pivotFolder, pivotVocabulary.size);
  const input: StrategyInput = { pivot: pivotVocabulary, counts: survey.counts, firstPivotToken: finder.find };
  const placed = new Map<string, PlacedMass>();
  let map: SparseMap | undefined;
  let never: NeverFollowing = new Map();
  try {
    for (const strategy of STRATEGIES) {
      if (strategy.name !== chosen && strategy.costly) continue;
      const built = await buildVocabularyMap(
        strategy,
        input,
        sourceVocabulary,
        survey,
        survey.texts,
        (id) => survey.tokenMass[id]! > 0,
      );
      placed.set(strategy.name, placedMass(built, survey));
      if (strategy.name === chosen) map = built;
    }
    never = await neverFollowing(survey.pivotSpaces, new Set(map!.pivot), input);
  } finally {
    await finder.dispose();
  }
  return { map: map!, placed, never };
}

interface FirstTokenFinder {
  readonly find: StrategyInput["firstPivotToken"];
  dispose(): Promise<void>;
}

/** Opens the tokenizer of the pivot's folder at the first text. Strategies ask for the same texts. */
function createFirstTokenFinder(folder: string, vocabulary: number): FirstTokenFinder {
  let worker: Promise<TokenWorker> | undefined;
  const known = new Map<string, Promise<number>>();
  const find = batched(async (texts: readonly Uint8Array[]) => {
    worker ??= openTokenWorker(folder);
    const ids = await (await worker).work.firstTokens({ folder, texts });
    return ids.map((id) => (id < vocabulary ? id : -1));
  });
  return {
    find: (bytes) => {
      const key = Buffer.from(bytes).toString("latin1");
      const id = known.get(key) ?? find(bytes);
      known.set(key, id);
      return id;
    },
    dispose: async () => (await worker)?.dispose(),
  };
}

/** Folders that tell what data they were made from must tell the same; others are compared by their rows. */
async function checkSameData(options: AlignOptions): Promise<void> {
  const pivot = await readSettings(options.pivot);
  const source = await readSettings(options.source);
  const key = "conversations_sha256";
  if (pivot?.[key] === undefined || source?.[key] === undefined || pivot[key] === source[key]) return;
  throw inputError(
    options.source,
    `was made from other conversations than ${options.pivot}; both must come from the same data`,
  );
}

/** Both sides must have been asked on the same day, and where the pivot's template was asked for, in that very one. */
function checkSamePrompting(options: AlignOptions, pivot: DistributionsMetadata, source: DistributionsMetadata): void {
  if (source.date !== pivot.date) {
    throw inputError(
      options.source,
      `was collected with the date ${source.date}, and ${options.pivot} with ${pivot.date}; collect one of them again`,
    );
  }
  if (source.template !== "pivot") return;
  const parts = {
    templateSha256: "chat template",
    specialTokensSha256: "special tokens",
    templateVariables: "template variables",
  } as const;
  for (const key of ["templateSha256", "specialTokensSha256", "templateVariables"] as const) {
    if (source[key] === pivot[key]) continue;
    throw inputError(
      options.source,
      `was collected with another pivot's ${parts[key]} (${source[key].slice(0, 12)}) than that of ${options.pivot} (${pivot[key].slice(0, 12)}); collect it again`,
    );
  }
}

function summaryLine(summary: AlignmentSummary): string {
  const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`;
  return (
    `${percent(summary.shared_rows, summary.rows)} of ${summary.rows} rows shared, ` +
    `${percent(summary.mass_kept, summary.mass_stored)} of the stored mass has a place (${summary.vocabulary})`
  );
}
