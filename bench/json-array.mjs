/**
 * How a JSON array of conversations is read: element by element by this program, and beside it the same bytes by
 * `JSON.parse` alone, which holds file and values at once and ends at the longest text of the runtime, 512 MB.
 *
 *     node bench/json-array.mjs [megabytes of the larger file, default 548] [megabytes of the smaller, default 250]
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measuredCommand } from "./measured-command.mjs";

/** Characters of a record, as a chat of a few turns has them. */
const RECORD = 5_000;

const READERS = {
  "this program, records alone":
    'const { openRecords } = await import("./dist/data/containers/index.js"); let n = 0; for await (const one of openRecords(process.argv[1])) if (one.record) n++; console.log(n)',
  "JSON.parse alone":
    'const { readFileSync } = await import("node:fs"); console.log(JSON.parse(readFileSync(process.argv[1], "utf8")).length)',
};

/**
 * An array of conversations of about so many bytes; returns its size.
 * @param {string} path
 * @param {number} megabytes
 */
async function writeArray(path, megabytes) {
  const file = await open(path, "w");
  const answer = "A word or two, and then some more. ".repeat(RECORD / 35);
  let size = 0;
  for (let n = 0; size < megabytes * 1e6; n++) {
    const turns = [
      { from: "human", value: `Question ${n}?` },
      { from: "gpt", value: answer },
    ];
    const { bytesWritten } = await file.write(`${n === 0 ? "[" : ","}${JSON.stringify({ conversations: turns })}`);
    size += bytesWritten;
  }
  await file.write("]");
  await file.close();
  return size + 1;
}

const [larger = 548, smaller = 250] = process.argv.slice(2).map(Number);
const folder = await mkdtemp(join(tmpdir(), "fusechat-json-"));
try {
  for (const megabytes of [smaller, larger]) {
    const path = join(folder, `${megabytes}.json`);
    console.log(`${Math.round((await writeArray(path, megabytes)) / 1e6)} MB`);
    const seconds = [];
    for (const [name, program] of Object.entries(READERS)) {
      if (megabytes > 500 && name.startsWith("JSON.parse")) continue;
      const measured = await measuredCommand(process.execPath, ["--input-type=module", "-e", program, path]);
      seconds.push(measured.processorSeconds);
      const rate = `${Math.round(megabytes / measured.processorSeconds)} MB a second of processor time`;
      const memory = `${Math.round(measured.privateBytes / 1e6)} MB private`;
      console.log(`  ${name}: ${measured.seconds.toFixed(1)} s, ${rate}, ${memory}`);
    }
    if (seconds.length === 2) console.log(`  ratio of processor time: ${(seconds[0] / seconds[1]).toFixed(1)}`);
    await rm(path);
  }
} finally {
  await rm(folder, { recursive: true });
}
