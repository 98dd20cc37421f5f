/** What is done with units, in this thread or in another: a survey of some of them, then the writing of some. */
import { findSequence } from "../sequences/index.ts";
import { createSurveyor, type SurveyPart } from "../survey.ts";
import type { Within } from "../within/within.ts";
import { openVocabulary, type SharedVocabulary } from "./shared-vocabulary.ts";
import { createUnitReader, type Unit } from "./units.ts";
import { createUnitWriter, type UnitWriter, type Wanted, type WritePlan, type WrittenUnit } from "./write-unit.ts";

export interface UnitSetup {
  readonly pivotVocabulary: SharedVocabulary;
  readonly sourceVocabulary: SharedVocabulary;
  /** Name of the sequence alignment. */
  readonly sequence: string;
  readonly within: Within;
}

export interface WriteRequest {
  readonly unit: Unit;
  /** File name of the aligned shard. */
  readonly name: string;
  readonly wanted: Wanted;
}

/** Every call takes one value and gives one, both of which cross between threads. */
export interface UnitWork {
  /** Surveys a unit; returns how many of its rows are shared. */
  survey(unit: Unit): Promise<number>;
  /** All that this worker has surveyed. */
  surveyed(nothing: null): Promise<SurveyPart>;
  /** Goes before the first `write`. */
  plan(plan: WritePlan): Promise<null>;
  write(request: WriteRequest): Promise<WrittenUnit>;
}

export function createUnitWork(setup: UnitSetup): UnitWork {
  const pivot = openVocabulary(setup.pivotVocabulary);
  const source = openVocabulary(setup.sourceVocabulary);
  const sequence = findSequence(setup.sequence);
  const reader = createUnitReader(pivot, source);
  const surveyor = createSurveyor(pivot, source, sequence, setup.within);
  let writer: UnitWriter | undefined;
  return {
    survey: async (unit) => surveyor.add(await reader.open(unit)),
    surveyed: async () => surveyor.part(),
    plan: async (plan) => {
      writer = createUnitWriter(plan, pivot, source, sequence);
      return null;
    },
    write: async ({ unit, name, wanted }) => writer!.write(await reader.open(unit), name, wanted),
  };
}
