/**
 * What a verb of the command line is. A verb file exports one `Verb`; `verbs.ts` lists them, in the order of `--help`.
 * A verb declares its arguments on a commander `Command`, and its `run` gets an `Invocation`: where to print, how to
 * report, and the engine. Results go to stdout, everything else to stderr.
 */
import type { Command } from "commander";
import type { Engine } from "../engine/engine.ts";
import type { EngineSettings } from "../engine/index.ts";
import type { Hub } from "../models/hub.ts";
import type { Reporter } from "../reporter.ts";

export interface Invocation {
  /** `--json`: stdout carries one JSON document, or one event a line on long verbs, and nothing else. */
  readonly json: boolean;
  readonly quiet: boolean;
  readonly reporter: Reporter;
  /** Aborted by the first Ctrl-C: finish the unit in hand, then `throwIfInterrupted`. */
  readonly signal: AbortSignal;
  /** Says what a first Ctrl-C is answered with, where that is no unit of work in hand: `finishing 3 requests`. */
  onInterrupt(finishing: () => string): void;
  /** Environment variables: where keys come from, and what a command line leaves open. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Prints a result for people on stdout; silent under `--json`. */
  print(text: string): void;
  /** Prints on stderr, also with `--quiet`: what is wrong beside a result that was printed all the same. */
  complain(text: string): void;
  /** False once the reader of stdout has gone (`| head`): what only prints may end. */
  hasReader(): boolean;
  /** Prints the verb's JSON document on stdout under `--json`; silent otherwise. */
  document(value: unknown): void;
  /**
   * The engine, started on first use, whose settings count (the embedded one where absent), and disposed of when the
   * verb ends. Sums are cut by thread, so only a fixed number of threads gives the same bytes on every machine.
   */
  engine(settings?: EngineSettings): Promise<Engine>;
  /** Models of the Hub, opened on first use. */
  hub(): Promise<Hub>;
}

export interface Verb {
  readonly name: string;
  /** One line for `--help`. */
  readonly summary: string;
  /** Long verbs print one event a line under `--json`; short ones a single document. */
  readonly long?: boolean;
  /** Declares arguments and options. `--json` and `--quiet` are added for every verb. */
  declare(command: Command): void;
  /** `options` are commander's, camelCased. Returns an exit code where it is neither 0 nor that of an error. */
  run(
    invocation: Invocation,
    positional: readonly string[],
    options: Record<string, unknown>,
  ): Promise<number | undefined>;
}
