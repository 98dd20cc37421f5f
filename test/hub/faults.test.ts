/** A server that is slow, cut, wrong or hostile. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exists, sha256OfFile } from "#src/formats/files.js";
import { parseHubId } from "#src/hub/id.js";
import { openHub } from "#src/models/hub.js";
import { failOnce } from "../formats/failing-disk.ts";
import { goldenFiles, goldenFolder, type OpenedHub, openServer, openTestHub, temporaryFolder } from "./models.ts";
import { type Fault, type HubServer, TOKEN } from "./server.ts";

const MODEL = parseHubId("org/qwen2")!;
const SIZE = 340464;
const WEIGHTS = "f66d548895775fb68277f390988804f8de21da81061fada673298c1e5d89f8a7";
/** Requests for the weights, on the host that they lie on. */
const OF_WEIGHTS = new RegExp(`^cdn GET /${WEIGHTS}`);

async function server(): Promise<HubServer> {
  return openServer({ "org/qwen2": await goldenFiles("qwen2") });
}

const blob = (home: string): string => join(home, "hub/models--org--qwen2/blobs", WEIGHTS);

async function fetched({ hub, home }: OpenedHub): Promise<void> {
  const folder = await hub.fetch(MODEL);
  expect(await sha256OfFile(join(folder, "model.safetensors"))).toBe(WEIGHTS);
  const left = await readdir(join(home, "hub/models--org--qwen2/blobs"));
  expect(left.filter((name) => name.includes("incomplete"))).toEqual([]);
}

const rangesOf = ({ asked }: HubServer): (string | undefined)[] =>
  asked.filter(({ host, path }) => host === "cdn" && path.includes(WEIGHTS)).map(({ range }) => range);

/** What a fetch is refused with. */
async function refusal({ hub }: OpenedHub): Promise<string> {
  return hub.fetch(MODEL).then(
    () => "fetched",
    ({ code, message }) => `${code}: ${message}`,
  );
}

describe("a download", () => {
  test("goes on where the line was cut", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "cut", after: 100_000 });
    hub.fail(OF_WEIGHTS, { kind: "cut", after: 50_000 });
    const opened = await openTestHub(hub);
    await fetched(opened);
    const ranges = rangesOf(hub);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.length).toBe(3);
    const begins = ranges.slice(1).map((range) => Number(/^bytes=(\d+)-$/.exec(range!)![1]));
    // What the system still had of the first part may be lost with the connection, nothing of it twice.
    expect(begins[0]).toBeLessThanOrEqual(100_000);
    expect(begins[1]).toBeGreaterThanOrEqual(begins[0]!);
  });

  test("goes on with what an earlier process left, and holds all of it against the hash", async () => {
    const hub = await server();
    const whole = await readFile(join(goldenFolder("qwen2"), "model.safetensors"));
    const opened = await openTestHub(hub);
    await mkdir(join(blob(opened.home), ".."), { recursive: true });
    await writeFile(`${blob(opened.home)}.incomplete`, whole.subarray(0, 200_000));
    await fetched(opened);
    expect(rangesOf(hub)).toEqual(["bytes=200000-"]);
    const announced = opened.events.flatMap((event) =>
      event.type === "end" && event.stage === "fetch" ? [event.summary] : [],
    );
    expect(announced.at(-1)).toContain(": 141 kB in 1 file (weights) from ");
  });

  test("begins anew where what was left is something else, longer than the file, or all there", async () => {
    const whole = await readFile(join(goldenFolder("qwen2"), "model.safetensors"));
    const spoilt = Buffer.from(whole);
    spoilt[1000]! ^= 1;
    for (const [left, ranges] of [
      [spoilt.subarray(0, 200_000), ["bytes=200000-", undefined]],
      [Buffer.alloc(SIZE + 1), [undefined]],
      [spoilt, [undefined]],
      [whole, []],
    ] as const) {
      const hub = await server();
      const opened = await openTestHub(hub);
      await mkdir(join(blob(opened.home), ".."), { recursive: true });
      await writeFile(`${blob(opened.home)}.incomplete`, left);
      await fetched(opened);
      expect(rangesOf(hub)).toEqual(ranges);
    }
  });

  test("begins anew where the server knows no ranges", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "cut", after: 100_000 });
    hub.fail(OF_WEIGHTS, { kind: "whole" });
    await fetched(await openTestHub(hub));
  });

  test("gives a connection up on which nothing comes, and takes another", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "hang", after: 100_000 });
    hub.fail(/^hub GET .*config\.json/, { kind: "hang", after: 10 });
    const opened = await openTestHub(hub, { HF_HUB_DOWNLOAD_TIMEOUT: "0.3" });
    await fetched(opened);
    // Of a busy machine it may be more.
    expect(opened.waits.length).toBeGreaterThanOrEqual(2);
  });

  test("waits as long as it is asked to, by Retry-After or the Hub's own header", async () => {
    const hub = await server();
    const busy = (headers: Record<string, string>): Fault => ({ kind: "status", status: 429, headers });
    hub.fail(/^hub GET .*revision\/main/, busy({ "retry-after": "7" }));
    hub.fail(/^hub GET .*tree/, busy({ ratelimit: '"api";r=0;t=55' }));
    hub.fail(OF_WEIGHTS, busy({ "retry-after": new Date(Date.now() + 60_000).toUTCString() }));
    hub.fail(OF_WEIGHTS, { kind: "status", status: 503 });
    const opened = await openTestHub(hub);
    await fetched(opened);
    expect(opened.waits.slice(0, 2)).toEqual([7, 55]);
    expect(opened.waits[2]).toBeGreaterThan(55);
    expect(opened.waits[2]).toBeLessThanOrEqual(60);
    expect(opened.waits[3]).toBe(2);
    hub.add("org/qwen2", {});
    hub.fail(/^hub GET .*revision\/main/, busy({ "retry-after": "4000" }));
    const later = await openTestHub(hub);
    expect(await refusal(later)).toMatch(
      /cannot be reached: too many requests, and asks to wait 4000 s; run the same command again then; no folder/,
    );
    expect(later.waits).toEqual([]);
  });

  test("ends with one sentence where the server stays broken, and keeps what has come", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "cut", after: 100_000 });
    hub.fail(OF_WEIGHTS, { kind: "status", status: 500 }, 100);
    const opened = await openTestHub(hub);
    expect(await refusal(opened)).toBe(
      `failed: org/qwen2: ${new URL(hub.url).host} does not give it: it answers 500, 8 times in a row; what has come is kept, run the same command again`,
    );
    expect(opened.waits).toEqual([1, 2, 4, 8, 16, 30, 30]);
    expect(await exists(`${blob(opened.home)}.incomplete`)).toBe(true);
    expect(await exists(blob(opened.home))).toBe(false);
  });

  test("is refused with what the disk says, and goes on later", async () => {
    const hub = await server();
    const opened = await openTestHub(hub);
    await opened.hub.text(MODEL);
    await failOnce("write", "ENOSPC", { half: true });
    expect(await refusal(opened)).toBe(
      `failed: ${blob(opened.home)}: the disk is full; free some space and run the same command again`,
    );
    await fetched(await openTestHub(hub, { home: opened.home }));
    expect(rangesOf(hub).at(-1)).toMatch(/^bytes=\d+-$/);
  });

  test("is not begun where the disk has not room for it", async () => {
    const hub = await server();
    hub.lies.set("model.safetensors", { size: 4e15, lfs: { oid: WEIGHTS, size: 4e15, pointerSize: 1 } });
    const opened = await openTestHub(hub);
    expect(await refusal(opened)).toMatch(
      /^failed: .*\/hub: expected 4000000\.0 GB of free disk, found \d+\.\d GB; free some, or set HF_HUB_CACHE$/,
    );
    expect(rangesOf(hub)).toEqual([]);
  });

  test("is interrupted at once, and what has come is kept", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "hang", after: 200_000 });
    const controller = new AbortController();
    const home = await temporaryFolder();
    const opened = await openHub({
      environment: { HF_ENDPOINT: hub.url, HF_HOME: home },
      signal: controller.signal,
      reporter: {
        report: (event) =>
          event.type === "progress" && event.done >= 0.1 && rangesOf(hub).length > 0 && controller.abort(),
      },
    });
    await expect(opened.fetch(MODEL)).rejects.toMatchObject({
      code: "interrupted",
      message: expect.stringMatching(/^org\/qwen2: model\.safetensors: interrupted; run the same command again/),
    });
    expect(await exists(`${blob(home)}.incomplete`)).toBe(true);
    await fetched(await openTestHub(hub, { home }));
  });
});

describe("what a server sends", () => {
  test("is refused where its content is not what was announced, and nothing of it is kept", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "flip", at: 1234 });
    const opened = await openTestHub(hub);
    expect(await refusal(opened)).toMatch(
      /^failed: org\/qwen2: model\.safetensors: what 127\.0\.0\.1:\d+ sent is not what it announced: its hash is [0-9a-f]{64}, expected f66d5488.*; nothing of it is kept$/,
    );
    expect(await exists(blob(opened.home))).toBe(false);
    expect((await readFile(`${blob(opened.home)}.incomplete`)).byteLength).toBe(0);
    await fetched(await openTestHub(hub, { home: opened.home }));
  });

  test("of small files too, by git's hash", async () => {
    const hub = await server();
    hub.fail(/^hub GET .*resolve.*\/config\.json/, { kind: "flip", at: 3 });
    expect(await refusal(await openTestHub(hub))).toMatch(
      /^failed: org\/qwen2: config\.json: what .* sent is not what it announced: its hash is [0-9a-f]{40}, expected [0-9a-f]{40}; /,
    );
  });

  test("is cut off where it is more than was announced", async () => {
    const hub = await server();
    hub.fail(OF_WEIGHTS, { kind: "endless" });
    const opened = await openTestHub(hub);
    expect(await refusal(opened)).toMatch(
      /^failed: org\/qwen2: model\.safetensors: .* sends more than the 340464 bytes that it announced$/,
    );
    expect(await exists(blob(opened.home))).toBe(false);
  });

  test("is refused where it is less than was announced", async () => {
    const hub = await server();
    hub.lies.set("model.safetensors", { size: SIZE + 5, lfs: { oid: WEIGHTS, size: SIZE + 5, pointerSize: 1 } });
    expect(await refusal(await openTestHub(hub))).toMatch(
      /^failed: org\/qwen2: model\.safetensors: 127\.0\.0\.1:\d+ has less of it than it lists$/,
    );
  });

  test("may not redirect in a circle, or to what is no address", async () => {
    const circle = await server();
    circle.fail(
      /^hub GET .*resolve.*\/config\.json/,
      { kind: "redirect", to: `${circle.url}/org/qwen2/resolve/main/config.json` },
      1000,
    );
    expect(await refusal(await openTestHub(circle))).toMatch(
      /^failed: org\/qwen2: config\.json: .* redirects in a circle$/,
    );
    for (const to of ["file:///etc/passwd", "ftp://host/x", "http://", "javascript:1"]) {
      const hub = await server();
      hub.fail(/^hub GET .*resolve.*\/config\.json/, { kind: "redirect", to });
      expect(await refusal(await openTestHub(hub)), to).toMatch(
        /^failed: org\/qwen2: config\.json: .* redirects to an address that is none$/,
      );
    }
  });

  test("gets no token on another host, wherever it redirects, or puts its next page", async () => {
    const hub = await server();
    const other = await openServer();
    hub.fail(/^hub GET .*revision\/main/, { kind: "redirect", to: `${other.url}/api/models/org/qwen2/revision/main` });
    await refusal(await openTestHub(hub, { HF_TOKEN: TOKEN }));
    const next = {
      link: `<${other.url}/api/models/org/qwen2/tree/next>; rel="next"`,
      "content-type": "application/json",
    };
    hub.fail(/^hub GET .*tree/, { kind: "status", status: 200, headers: next, body: "[]" });
    await refusal(await openTestHub(hub, { HF_TOKEN: TOKEN }));
    expect(other.asked.length).toBe(2);
    expect(other.asked.map(({ token }) => token)).toEqual([undefined, undefined]);
  });
});

describe("what a server says", () => {
  const answers =
    (pattern: RegExp, body: string, headers = {}) =>
    async (): Promise<string> => {
      const hub = await server();
      hub.fail(
        pattern,
        { kind: "status", status: 200, headers: { "content-type": "application/json", ...headers }, body },
        100_000,
      );
      return refusal(await openTestHub(hub));
    };

  test("is refused where it is no answer of the Hub", async () => {
    const otherwise =
      /^failed: org\/qwen2: 127\.0\.0\.1:\d+ answers otherwise than the Hub does; is HF_ENDPOINT the address of one\?$/;
    expect(await answers(/revision\/main/, "<html>Welcome</html>")()).toMatch(otherwise);
    expect(await answers(/revision\/main/, "{}")()).toMatch(otherwise);
    expect(await answers(/revision\/main/, '{"sha": "../../etc"}')()).toMatch(otherwise);
    expect(await answers(/tree/, "<html>Welcome</html>")()).toMatch(otherwise);
    expect(await answers(/tree/, "[null]")()).toMatch(otherwise);
    expect(await answers(/tree/, '{"error": 1}')()).toMatch(otherwise);
  });

  test("of files is refused without sizes and hashes", async () => {
    const hash = "0".repeat(40);
    for (const entry of [
      { type: "file", path: "config.json", size: -1, oid: hash },
      { type: "file", path: "config.json", size: 1e300, oid: hash },
      { type: "file", path: "config.json", size: 3, oid: "../../../x" },
      { type: "file", path: "config.json", size: 3, oid: hash, lfs: { oid: hash, size: 3 } },
      { type: "file", path: "config.json", size: 3 },
      { type: "file", path: 3, size: 3, oid: hash },
    ]) {
      expect(await answers(/tree/, JSON.stringify([entry]))(), JSON.stringify(entry)).toMatch(
        /^failed: org\/qwen2: 127\.0\.0\.1:\d+ lists .* without a size and a hash to hold it against$/,
      );
    }
  });

  test("has an end, pages without files too", async () => {
    const circle = await server();
    const link = `<${circle.url}/api/models/org/qwen2/tree/next>; rel="next"`;
    circle.fail(
      /tree/,
      { kind: "status", status: 200, headers: { link, "content-type": "application/json" }, body: "[]" },
      100_000,
    );
    expect(await refusal(await openTestHub(circle))).toMatch(/^failed: org\/qwen2: .* lists more than 200000 files$/);
  });

  test("never leads out of the cache", async () => {
    const files = await goldenFiles("qwen2");
    const { "model.safetensors": weights, ...text } = files;
    const hub = await openServer({
      "org/qwen2": {
        ...files,
        "../../escaped.json": "{}",
        "/tmp/escaped.json": "{}",
        "additional_chat_templates/../../../../escaped.jinja": "x",
        "additional_chat_templates/..\\escaped.jinja": "x",
        "additional_chat_templates/good.jinja": "{{ messages }}",
        "config.json": JSON.stringify({ ...JSON.parse(String(files["config.json"])), auto_map: { AutoConfig: "x.Y" } }),
        "../escaped.py": "x",
        "x.py": "x",
      },
      "org/other": {
        ...text,
        "model.safetensors.index.json": JSON.stringify({ weight_map: { a: "../../../x.safetensors" } }),
        "../../../x.safetensors": weights!,
      },
      "org/absent": {
        ...text,
        "model.safetensors.index.json": JSON.stringify({ weight_map: { a: "model-1.safetensors" } }),
      },
    });
    const { hub: opened, home } = await openTestHub(hub);
    const folder = await opened.fetch(MODEL);
    expect(
      (await readdir(folder, { recursive: true })).filter((name) => /escaped|good|\.py/.test(name)).sort(),
    ).toEqual(["additional_chat_templates/good.jinja", "x.py"]);
    expect((await readdir(home, { recursive: true })).filter((name) => name.includes("escaped"))).toEqual([]);
    await expect(opened.fetch(parseHubId("org/other")!)).rejects.toThrow(
      /model\.safetensors\.index\.json: weight_map\."a": expected the name of a \.safetensors file in this folder, found "\.\.\/\.\.\/\.\.\/x\.safetensors"$/,
    );
    await expect(opened.fetch(parseHubId("org/absent")!)).rejects.toThrow(
      'org/absent: model.safetensors.index.json: names "model-1.safetensors", which is not there',
    );
  });

  test("of errors is shown in one line, and not without end", async () => {
    const hub = await server();
    hub.fail(/revision\/main/, {
      kind: "status",
      status: 403,
      body: JSON.stringify({ error: `\u001b[2Jno\n${"x".repeat(500)}` }),
    });
    const told = await refusal(await openTestHub(hub));
    expect(told).toMatch(/^input: org\/qwen2: 127\.0\.0\.1:\d+ refuses access \(\[2Jno x{190,200}\)$/);
    hub.fail(/revision\/main/, { kind: "status", status: 418, body: "<html>teapot</html>" });
    expect(await refusal(await openTestHub(hub))).toMatch(/^failed: org\/qwen2: 127\.0\.0\.1:\d+ answers 418$/);
  });
});

describe("a header", () => {
  test("that is cut or claims too much is told by name; a server without ranges gives it too", async () => {
    const files = await goldenFiles("qwen2");
    const claims = Buffer.alloc(100);
    claims.writeBigUInt64LE(1n << 40n);
    const hub = await openServer({
      "org/qwen2": files,
      "org/claims": { ...files, "model.safetensors": claims },
      "org/short": { ...files, "model.safetensors": "abc" },
    });
    hub.fail(OF_WEIGHTS, { kind: "cut", after: 2000 });
    hub.fail(OF_WEIGHTS, { kind: "whole" });
    const { hub: opened, waits } = await openTestHub(hub);
    const { headers } = await opened.outline(MODEL);
    expect([...headers.values()][0]!.tensors.size).toBe(27);
    expect(waits).toEqual([1]);
    await expect(opened.outline(parseHubId("org/claims")!)).rejects.toThrow(
      "org/claims: model.safetensors: the header at byte 0 claims 1099511627776 bytes, which neither the format nor the file allows",
    );
    await expect(opened.outline(parseHubId("org/short")!)).rejects.toThrow(
      "org/short: model.safetensors: expected a safetensors file, found only 3 bytes",
    );
  });
});

describe("settings", () => {
  test("that are none are told by their variable", async () => {
    const refused = (environment: Record<string, string>): Promise<string> =>
      openHub({ environment: { HF_HOME: "/nowhere", ...environment } }).then(
        () => "opened",
        ({ code, message }) => `${code}: ${message}`,
      );
    expect(await refused({ HF_ENDPOINT: "nonsense" })).toBe(
      'input: HF_ENDPOINT: expected a URL such as https://huggingface.co, found "nonsense"',
    );
    expect(await refused({ HF_ENDPOINT: "ftp://host" })).toBe(
      "input: HF_ENDPOINT: expected https:// or http://, found ftp://",
    );
    expect(await refused({ HF_ENDPOINT: "https://me:secret@host" })).not.toContain("secret");
    expect(await refused({ HF_TOKEN: "hf a" })).toBe(
      "input: HF_TOKEN: expected printable ASCII without spaces; set the token again",
    );
    expect(await refused({ HF_HUB_DOWNLOAD_TIMEOUT: "soon" })).toBe(
      'input: HF_HUB_DOWNLOAD_TIMEOUT: expected seconds above 0, found "soon"',
    );
  });
});
