/**
 * The settings of benchmarks as options of the command line: `max_length` is `--max-length`. All are declared, so that
 * a misspelt one is told; a benchmark then takes its own alone, and the others are refused.
 */

import { resolve } from "node:path";
import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { inputError, suggestion } from "../errors.ts";
import type { Benchmark, BenchmarkOption, BenchmarkSettings } from "../evaluate/benchmarks/benchmark.ts";
import { BENCHMARKS } from "../evaluate/benchmarks/index.ts";
import { emptyTable } from "../table.ts";
import { integer, number } from "./option-values.ts";

/** One option for all settings of a name; its help says what it means to each benchmark. */
export function declareSettings(command: Command): void {
  for (const name of settingNames()) {
    const owners = BENCHMARKS.flatMap((benchmark) =>
      benchmark.options
        .filter((option) => option.name === name)
        .map((option) => ({ benchmark: benchmark.name, option })),
    );
    const { option } = owners[0]!;
    const flags = option.kind === "flag" ? flagOf(name) : `${flagOf(name)} <${VALUE_WORDS[option.kind]}>`;
    const isShared = owners.length > 1;
    const meanings = new Set(owners.map((owner) => meaning(owner.option)));
    const description =
      meanings.size === 1
        ? meaning(option)
        : owners.map((owner) => `${owner.benchmark}: ${meaning(owner.option)}`).join("; ");
    const group = isShared
      ? `Settings of ${owners.map((owner) => owner.benchmark).join(", ")}:`
      : `Settings of ${owners[0]!.benchmark}:`;
    command.addOption(command.createOption(flags, description).helpGroup(group));
  }
}

/** Every name of a setting, once, in the order of the benchmarks; those of several benchmarks first. */
function settingNames(): string[] {
  const names = BENCHMARKS.flatMap(({ options }) => options.map(({ name }) => name));
  const unique = [...new Set(names)];
  const isShared = (name: string): boolean => names.filter((other) => other === name).length > 1;
  return [...unique.filter(isShared), ...unique.filter((name) => !isShared(name))];
}

function meaning({ summary, default: otherwise, choices }: BenchmarkOption): string {
  const values = choices === undefined ? "" : `: ${choices.join(", ")}`;
  return `${summary}${values}${otherwise === undefined || otherwise === false ? "" : ` (default: ${otherwise})`}`;
}

const VALUE_WORDS: Readonly<Record<BenchmarkOption["kind"], string>> = {
  path: "path",
  text: "text",
  number: "number",
  integer: "n",
  flag: "",
};

function flagOf(name: string): string {
  return `--${name.replaceAll("_", "-")}`;
}

/** Commander's name of an option. */
function keyOf(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The benchmark's settings with defaults filled in and paths absolute; refuses what belongs to another benchmark. */
export function settingsOf(benchmark: Benchmark, given: Readonly<Record<string, unknown>>): BenchmarkSettings {
  const own = benchmark.options.map(({ name }) => name);
  for (const name of settingNames()) {
    if (own.includes(name) || given[keyOf(name)] === undefined) continue;
    const known = own.map(flagOf);
    throw inputError(
      flagOf(name),
      `does not belong to evaluate ${benchmark.name}${suggestion(flagOf(name), known)} (which takes ${known.join(", ")})`,
    );
  }
  const settings: Record<string, string | number | boolean | undefined> = emptyTable();
  for (const option of benchmark.options) {
    const value = given[keyOf(option.name)];
    settings[option.name] = value === undefined ? option.default : checkedValue(option, value);
  }
  return settings;
}

function checkedValue(option: BenchmarkOption, given: unknown): string | number | boolean {
  const { kind, choices, min, max } = option;
  if (kind === "flag") return given === true;
  const text = String(given);
  const flag = flagOf(option.name);
  if (choices !== undefined && !choices.includes(text)) {
    const expected = `expected one of ${choices.join(", ")}`;
    throw inputError(flag, `${expected}, found ${JSON.stringify(text)}${suggestion(text, choices)}`);
  }
  if (kind === "path") return resolve(text);
  if (kind === "text") return text;
  const bounds = { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
  try {
    return (kind === "integer" ? integer(bounds) : number(bounds))(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    const expected = error.message.replace(/^E/, "e").replace(/\.$/, "");
    throw inputError(flag, `${expected}, found ${JSON.stringify(text)}`);
  }
}
