/**
 * A megabyte of the same, for every target: what grows with the square of a length, or fails on one, shows there. Each
 * shape stands once as the whole file, and once in the place of a text of a seed. Last a long first line before many short
 * ones, such as the name of a column: what is told of every row must not grow with it.
 */
import { LONGEST_BYTES } from "./mutate.mjs";

/** What is repeated. Marks that combine with what stands before them, beginnings of what is never closed, and white space. */
export const SHAPES = [
  ...["a", " ", "\n", "\r\n", "\t", "\u00a0", "0", "9.", "-", "_", "\\", "'", '"', '""', "`", "#", "%", "&a ", "*a "],
  ...["e\u0301", "\u0301", "\u0323\u0301", "\u1100\u1161", "\u0f71\u0f72", "\u{1f600}", "\u202e", "\ufffd", "\u2581"],
  ...["[", "]", "{", "}", "(", "[]", "{}", "[[", "]]", "{{", "{%", "{{a}}", "[ ", "{a: ", "- ", "? ", ": ", "a: b\n"],
  ...["<", "<think>", "</think>", "<|im_start|>user\n", "<|im_end|>\n", "\\boxed{", "\\frac{1}{", "#### ", "Answer: "],
  ...[
    "1,",
    "1,000",
    ",",
    "a,",
    "a,b\n",
    "\n\n",
    " \n",
    "[[1",
    "[[1]]",
    '{"a":',
    '"a":1,',
    "{}\n",
    "[]\n",
    "1\n",
    '"\n',
  ],
];

const MARK = "@@megabyte@@";

/** How many inputs a target has. */
export const INPUTS_PER_TARGET = 2 * SHAPES.length + 1;

/** An input of a target by its number. */
export function megabyte({ seeds, kind }, number) {
  if (number === 2 * SHAPES.length) return longFirstLine();
  const shape = SHAPES[number >> 1];
  const repeated = shape.repeat(Math.floor(LONGEST_BYTES / Buffer.byteLength(shape)));
  if (number % 2 === 0) return Buffer.from(repeated, "utf8");
  const seed = Buffer.from(seeds[0]).toString(kind === "bytes" ? "latin1" : "utf8");
  const within = withText(seed, kind, repeated);
  return Buffer.from(within, kind === "bytes" ? "latin1" : "utf8").subarray(0, LONGEST_BYTES + seed.length);
}

function longFirstLine() {
  const half = LONGEST_BYTES >> 1;
  return Buffer.from(`${"a".repeat(half - 1)}\n${"1\n".repeat(half >> 1)}`, "utf8");
}

/** The first text of a record or a document, or the middle of any other file. */
function withText(seed, kind, repeated) {
  if (kind === "json" || kind === "json-lines") {
    const [line, ...others] = kind === "json" ? [seed] : seed.split("\n");
    const root = JSON.parse(line);
    if (mark(root))
      return [JSON.stringify(root).replace(`"${MARK}"`, () => JSON.stringify(repeated)), ...others].join("\n");
  }
  const middle = seed.length >> 1;
  return seed.slice(0, middle) + repeated + seed.slice(middle);
}

/** Puts the mark in the place of the deepest first text: names of formats and kinds stand further out. */
function mark(root) {
  let found;
  const open = [{ value: root, depth: 0 }];
  for (let next = open.shift(); next !== undefined && open.length < 5000; next = open.shift()) {
    if (typeof next.value !== "object" || next.value === null) continue;
    for (const [key, value] of Object.entries(next.value)) {
      if (typeof value === "string" && (found === undefined || next.depth > found.depth)) {
        found = { holder: next.value, key, depth: next.depth };
      } else open.push({ value, depth: next.depth + 1 });
    }
  }
  if (found === undefined) return false;
  found.holder[found.key] = MARK;
  return true;
}
