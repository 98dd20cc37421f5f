/**
 * A command line to an exit code: commander parses strictly (an unknown verb or flag is an error with a suggestion),
 * the verb runs with an `Invocation`, and whatever it throws becomes one line a problem on stderr and, under `--json`,
 * an error object on stdout.
 */
import { Command, CommanderError } from "commander";
import type { Engine } from "../engine/engine.ts";
import { createEngine, EMBEDDED } from "../engine/index.ts";
import { FusechatError, inputError, reasonOf } from "../errors.ts";
import type { Hub } from "../models/hub.ts";
import { silent } from "../reporter.ts";
import { VERSION } from "../version.ts";
import { createJsonReporter } from "./json-reporter.ts";
import { createProgressReporter } from "./progress-reporter.ts";
import { serverKeys } from "./server-keys.ts";
import type { Streams } from "./streams.ts";
import type { Invocation, Verb } from "./verb.ts";

const WRONG_COMMAND_LINE = 2;

/** Runs one command line (`arguments_` without node and script) and returns the process's exit code. Never throws. */
export async function runCommandLine(
  arguments_: readonly string[],
  streams: Streams,
  signal: AbortSignal,
  verbs: readonly Verb[],
  onInterrupt: Invocation["onInterrupt"] = () => {},
): Promise<number> {
  let exitCode = 0;
  const program = new Command("fusechat")
    .description("Fuse several chat LLMs of any architecture, size and tokenizer into one model.")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      // Errors are printed below, in one style; help asked for by mistake (no verb) is all that comes here.
      writeErr: (text) => streams.stderr.write(text),
      outputError: () => {},
      getOutHelpWidth: () => streams.stdout.columns(),
      getErrHelpWidth: () => streams.stderr.columns(),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
  for (const verb of verbs) {
    const command = program.command(verb.name).description(verb.summary).helpOption("-h, --help", "print this help");
    verb.declare(command);
    command
      .option("--json", `print ${verb.long === true ? "one JSON event a line" : "one JSON document"} on stdout`)
      .option("--quiet", "no progress, only results and errors");
    command.action(async () => {
      exitCode = await invoke(verb, command, streams, { signal, onInterrupt });
    });
  }
  try {
    await program.parseAsync(arguments_, { from: "user" });
    return exitCode;
  } catch (error) {
    return printError(error, commandName(arguments_, verbs), streams, arguments_.includes("--json"));
  }
}

async function invoke(
  verb: Verb,
  command: Command,
  streams: Streams,
  interrupts: Pick<Invocation, "signal" | "onInterrupt">,
): Promise<number> {
  const options: Record<string, unknown> = command.opts();
  refuseEmpty(command.args, options);
  const json = options.json === true;
  const quiet = options.quiet === true;
  const events = json && verb.long === true;
  const line = (value: unknown): void => streams.stdout.write(`${JSON.stringify(value)}\n`);
  const progress = createProgressReporter(streams);
  let engine: Promise<Engine> | undefined;
  let hub: Promise<Hub> | undefined;
  const invocation: Invocation = {
    json,
    quiet,
    reporter: events ? createJsonReporter(line, streams.now) : quiet ? silent : progress,
    ...interrupts,
    environment: streams.environment,
    print: (text) => {
      if (json) return;
      progress.clear();
      streams.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    },
    complain: (text) => {
      progress.clear();
      streams.stderr.write(`${text}\n`);
    },
    hasReader: () => streams.stdout.isOpen(),
    document: (value) => {
      if (json) line(events ? resultEvent(value) : value);
    },
    engine: (settings = EMBEDDED) => {
      engine ??= createEngine(settings, serverKeys(streams.environment));
      return engine;
    },
    hub: () => {
      hub ??= openModels(invocation);
      return hub;
    },
  };
  try {
    return (await verb.run(invocation, command.args, options)) ?? 0;
  } finally {
    progress.clear();
    await (await engine?.catch(() => undefined))?.dispose();
  }
}

/** No argument and no option means anything when it is empty, and paths would mean the current folder. */
function refuseEmpty(positional: readonly string[], options: Readonly<Record<string, unknown>>): void {
  if (positional.includes("")) throw inputError("the command line", "expected no empty argument, found one");
  for (const [name, value] of Object.entries(options)) {
    if (![value].flat().includes("")) continue;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw inputError(`--${flag}`, "expected a value, found an empty one");
  }
}

async function openModels({ environment, reporter, signal }: Invocation): Promise<Hub> {
  const { openHub } = await import("../models/hub.ts");
  return openHub({ environment, reporter, signal });
}

/** A long verb's document is one more event of its stream. */
function resultEvent(value: unknown): object {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? { type: "result", ...value } : { type: "result", value };
}

function printError(error: unknown, command: string, streams: Streams, json: boolean): number {
  const { code, message, exitCode } = describeError(error, command);
  if (exitCode === 0) return 0;
  if (message !== "") streams.stderr.write(`${message}\n`);
  if (json && message !== "") {
    streams.stdout.write(`${JSON.stringify({ type: "error", code, message, exit_code: exitCode })}\n`);
  }
  if (code === "internal" && error instanceof Error && streams.environment.FUSECHAT_DEBUG !== undefined) {
    streams.stderr.write(`${error.stack}\n`);
  }
  return exitCode;
}

function describeError(error: unknown, command: string): { code: string; message: string; exitCode: number } {
  if (error instanceof FusechatError) return { code: error.code, message: error.message, exitCode: error.exitCode };
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { code: "none", message: "", exitCode: 0 };
    // Without a verb commander has already printed the help on stderr, and its message says nothing.
    const message = error.code === "commander.help" ? "" : `${command}: ${commanderSentence(error.message)}`;
    return { code: "input", message, exitCode: WRONG_COMMAND_LINE };
  }
  const message = reasonOf(error);
  return {
    code: "internal",
    message: `internal: ${message}; please report this (FUSECHAT_DEBUG=1 shows where)`,
    exitCode: 1,
  };
}

/** `error: unknown command 'rum'\n(Did you mean run?)` becomes `unknown command 'rum'; did you mean "run"?`. */
function commanderSentence(message: string): string {
  return message
    .replace(/^error: /, "")
    .replace(/\n?\(Did you mean (?:one of )?(.+)\?\)/s, (_, words: string) => `; did you mean "${words}"?`)
    .replace(/\.$/, "");
}

function commandName(arguments_: readonly string[], verbs: readonly Verb[]): string {
  const verb = verbs.find(({ name }) => name === arguments_[0]);
  return verb === undefined ? "fusechat" : `fusechat ${verb.name}`;
}
