import { describe, expect, test } from "vitest";
import { integer } from "#src/cli/option-values.js";
import { runCommandLine } from "#src/cli/program.js";
import type { Verb } from "#src/cli/verb.js";
import { loadVerbs } from "#src/cli/verbs.js";
import { FusechatError, inputError, inputErrors } from "#src/errors.js";
import { memoryStreams } from "./memory-streams.ts";

const VERBS = await loadVerbs();

const greet: Verb = {
  name: "greet",
  summary: "say hello",
  declare: (command) => command.argument("<name>").option("--times <n>", "how often", integer({ min: 1 }), 1),
  run: async (invocation, [name], options) => {
    invocation.reporter.report({ type: "start", stage: "greet" });
    invocation.print(`hello ${name}`);
    invocation.document({ hello: name, times: options.times });
    return undefined;
  },
};

function verb(run: Verb["run"], long = false): Verb {
  return { name: "work", summary: "work", long, declare: () => {}, run };
}

async function run(line: string, verbs: readonly Verb[], environment: Record<string, string> = {}) {
  const streams = memoryStreams({ environment });
  const exitCode = await runCommandLine(line.split(" ").filter(Boolean), streams, new AbortController().signal, verbs);
  return { exitCode, stdout: streams.stdout.text, stderr: streams.stderr.text };
}

describe("the command line", () => {
  test("a verb gets its arguments and prints for people", async () => {
    expect(await run("greet world", [greet])).toEqual({ exitCode: 0, stdout: "hello world\n", stderr: "" });
  });

  test("--json prints the document and nothing else on stdout", async () => {
    const { stdout } = await run("greet world --times 3 --json", [greet]);
    expect(stdout).toBe('{"hello":"world","times":3}\n');
  });

  test("an unknown verb fails with a suggestion and exit code 2", async () => {
    const { exitCode, stderr } = await run("gret world", [greet]);
    expect(stderr).toBe("fusechat: unknown command 'gret'; did you mean \"greet\"?\n");
    expect(exitCode).toBe(2);
  });

  test("an unknown flag fails with a suggestion and exit code 2", async () => {
    const { exitCode, stderr } = await run("greet world --time 3", [greet]);
    expect(stderr).toBe("fusechat greet: unknown option '--time'; did you mean \"--times\"?\n");
    expect(exitCode).toBe(2);
  });

  test.each([
    ["greet", "fusechat greet: missing required argument 'name'"],
    ["greet a b", "fusechat greet: too many arguments for 'greet'. Expected 1 argument but got 2"],
    ["greet a --times", "fusechat greet: option '--times <n>' argument missing"],
    ["greet a --times 1.5", "fusechat greet: option '--times <n>' argument '1.5' is invalid. Expected a whole number"],
    ["greet a --times 0", "fusechat greet: option '--times <n>' argument '0' is invalid. Expected at least 1"],
    ["--fource", "fusechat: unknown option '--fource'"],
  ])("`%s` is refused: %s", async (line, message) => {
    const { exitCode, stdout, stderr } = await run(line, [greet]);
    expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 2, stdout: "", stderr: `${message}\n` });
  });

  test("without a verb the help goes to stderr, with exit code 2", async () => {
    const { exitCode, stdout, stderr } = await run("", [greet]);
    expect(stdout).toBe("");
    expect(stderr).toContain("Usage: fusechat");
    expect(stderr).toContain("greet [options] <name>");
    expect(exitCode).toBe(2);
  });

  test("help is a result: on stdout, with exit code 0", async () => {
    for (const line of ["--help", "greet --help"]) {
      const { exitCode, stdout, stderr } = await run(line, [greet]);
      expect(stdout).toMatch(/^Usage: fusechat/);
      expect(stderr).toBe("");
      expect(exitCode).toBe(0);
    }
  });

  test("every verb has a summary, --help, --json and --quiet", async () => {
    for (const { name, summary } of VERBS) {
      const { exitCode, stdout } = await run(`${name} --help`, VERBS);
      expect(exitCode, name).toBe(0);
      expect(stdout, name).toContain("--json");
      expect(stdout, name).toContain("--quiet");
      expect(summary, name).not.toBe("");
    }
  });

  test("the version is that of the package", async () => {
    expect((await run("--version", [])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe("errors", () => {
  test("each problem is one line on stderr, without a stack", async () => {
    const failing = verb(async () => {
      throw inputErrors(["a.yaml:1:1 pivot: expected a folder", "a.yaml:2:1 data: expected a path"]);
    });
    expect(await run("work", [failing])).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "a.yaml:1:1 pivot: expected a folder\na.yaml:2:1 data: expected a path\n",
    });
  });

  test.each([
    ["input", 2],
    ["failed", 1],
    ["gate", 3],
    ["interrupted", 130],
  ] as const)("an error of the kind %s ends with %i", async (code, exitCode) => {
    const failing = verb(async () => {
      throw new FusechatError(code, "here: this went wrong");
    });
    expect((await run("work", [failing])).exitCode).toBe(exitCode);
  });

  test("under --json an error is an object on stdout too", async () => {
    const failing = verb(async () => {
      throw inputError("a.txt", "expected text, found nothing");
    });
    const { stdout, stderr } = await run("work --json", [failing]);
    expect(JSON.parse(stdout)).toEqual({
      type: "error",
      code: "input",
      message: "a.txt: expected text, found nothing",
      exit_code: 2,
    });
    expect(stderr).toBe("a.txt: expected text, found nothing\n");
    expect(JSON.parse((await run("work --jsn --json", [failing])).stdout)).toMatchObject({ code: "input" });
  });

  test("an unexpected error asks for a report, and shows its stack only with FUSECHAT_DEBUG", async () => {
    const failing = verb(async () => {
      throw new TypeError("x is not a function");
    });
    const { exitCode, stderr } = await run("work", [failing]);
    expect(stderr).toBe("internal: x is not a function; please report this (FUSECHAT_DEBUG=1 shows where)\n");
    expect(exitCode).toBe(1);
    expect((await run("work", [failing], { FUSECHAT_DEBUG: "1" })).stderr).toContain("program.test.ts");
  });
});

describe("events", () => {
  const long = verb(async ({ reporter, document }) => {
    reporter.report({ type: "start", stage: "fuse" });
    reporter.report({ type: "end", stage: "fuse", summary: "done" });
    document({ loss: 1 });
    return undefined;
  }, true);

  test("a long verb prints one event a line under --json, its result last", async () => {
    const { stdout, stderr } = await run("work --json", [long]);
    expect(
      stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { type: "start", stage: "fuse" },
      { type: "end", stage: "fuse", summary: "done" },
      { type: "result", loss: 1 },
    ]);
    expect(stderr).toBe("");
  });

  test("progress goes to stderr, and --quiet takes it away", async () => {
    expect((await run("work", [long])).stderr).toBe("fuse: done (0.0 s)\n");
    expect((await run("work --quiet", [long])).stderr).toBe("");
  });

  test("a verb may end with an exit code of its own", async () => {
    expect((await run("work", [verb(async () => 3)])).exitCode).toBe(3);
  });
});
