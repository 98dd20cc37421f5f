#!/usr/bin/env node
/**
 * The `fusechat` command: checks the Node version, turns Ctrl-C into an abort signal, runs the command line and ends
 * the process with its exit code. Everything that can be tested without a process is in `program.ts`.
 */
import { oldNodeMessage } from "./node-version.ts";

const complaint = oldNodeMessage(process.versions.node);
if (complaint !== undefined) {
  process.stderr.write(`${complaint}\n`);
  process.exit(2);
}

// What escapes every promise is a mistake of this program; its stack helps only those who look for it.
for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (error: unknown) => {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    const detail = process.env.FUSECHAT_DEBUG === undefined ? "" : `\n${stack}`;
    process.stderr.write(`internal: ${message}; please report this (FUSECHAT_DEBUG=1 shows where)${detail}\n`);
    process.exit(1);
  });
}

// Only now, because an older Node may not even load what the verbs import.
const { runCommandLine } = await import("./program.ts");
const { loadVerbs } = await import("./verbs.ts");
const { listenForInterrupts } = await import("./interrupt.ts");
const { processStreams } = await import("./streams.ts");

const streams = processStreams();
const { signal, say } = listenForInterrupts((line) => streams.stderr.write(`${line}\n`));
const verbs = await loadVerbs(process.argv[2]);
const exitCode = await runCommandLine(process.argv.slice(2), streams, signal, verbs, say);
await streams.flush();
process.exit(exitCode);
