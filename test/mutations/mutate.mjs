/**
 * Mutations of a file: of its bytes (bits, truncation, splices with itself and with another seed), of its text (numbers,
 * names, odd characters, repetitions) and of its JSON (types, depth, keys). Everything is drawn from the generator that
 * is handed in, so that a seed and a number give the same input again.
 */

/** A generator of 32 bits (mulberry32): small, and the same everywhere. */
export function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound) => Math.floor((next() / 2 ** 32) * bound);
  return { next, below, pick: (list) => list[below(list.length)] };
}

/** Longest input: large enough for what grows with the square of its length to show, small enough for thousands. */
export const LONGEST_BYTES = 1 << 20;

const NUMBERS = [
  ...["0", "-0", "-1", "1", "0.5", "-3", "1e20", "1e308", "1.7e308", "-1e308", "5e-324", "1e999", "NaN", "-Infinity"],
  ...["2147483647", "2147483648", "4294967296", "9007199254740993", "18446744073709551616", "1000000000", "65536"],
];

const NAMES = [
  ...["constructor", "toString", "valueOf", "hasOwnProperty", "__proto__", "prototype", "then", "length", "toJSON"],
  ...[
    "",
    " ",
    "\u0000",
    "a".repeat(5000),
    "\ud800",
    "\ufeff",
    "e\u0301".repeat(50),
    "\u202e",
    "\u2028",
    "../../etc/passwd",
  ],
];

const VALUES = [
  ...[null, true, false, 0, -1, 0.5, 1e308, 5e-324, 2 ** 53, "", "x", [], {}, [null], { toString: 1 }, { length: -1 }],
  ...[{ constructor: { prototype: null } }, ["a", 1, null, {}], "1e5", "\ud800", "{{", "a".repeat(100_000)],
];

export function mutate(seeds, kind, random) {
  let bytes = Buffer.from(random.pick(seeds));
  const rounds = 1 + random.below(3);
  for (let round = 0; round < rounds; round++) bytes = mutateOnce(bytes, seeds, kind, random);
  return bytes.subarray(0, LONGEST_BYTES);
}

function mutateOnce(bytes, seeds, kind, random) {
  const json = kind === "json" || kind === "json-lines";
  if (json && random.below(3) > 0) {
    const text = bytes.toString("utf8");
    const mutated = kind === "json" ? shallowly(mutateJson, text, random) : shallowly(mutateLine, text, random);
    if (mutated !== undefined) return Buffer.from(mutated, "utf8");
  }
  if (kind !== "bytes" && random.below(3) > 0) return Buffer.from(mutateText(bytes.toString("utf8"), random), "utf8");
  return mutateBytes(bytes, seeds, random);
}

function mutateBytes(bytes, seeds, random) {
  const place = random.below(bytes.length + 1);
  const length = Math.min(bytes.length - place, 1 + random.below(random.pick([1, 4, 64, 4096])));
  const before = bytes.subarray(0, place);
  const part = bytes.subarray(place, place + length);
  const after = bytes.subarray(place + length);
  switch (random.below(8)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      for (let flips = 1 + random.below(8); flips > 0 && flipped.length > 0; flips--) {
        flipped[random.below(flipped.length)] ^= 1 << random.below(8);
      }
      return flipped;
    }
    case 1:
      return Buffer.from(before);
    case 2:
      return Buffer.concat([before, after]);
    case 3:
      return Buffer.concat([before, part, part, after]);
    case 4: {
      const other = random.pick(seeds);
      const from = random.below(other.length + 1);
      return Buffer.concat([before, Buffer.from(other).subarray(from, from + length), after]);
    }
    case 5:
      return Buffer.concat([before, Buffer.alloc(part.length, random.pick([0, 0xff, 0x7f, 0x80])), after]);
    case 6: {
      const times = Math.floor(LONGEST_BYTES / Math.max(1, part.length) / random.pick([1, 16, 256]));
      return Buffer.concat([before, Buffer.alloc(part.length * Math.max(1, times), part), after]);
    }
    default: {
      // A field of four or eight bytes, as sizes and offsets are.
      const changed = Buffer.from(bytes);
      const value = random.pick([0n, 1n, 0x7fffffffn, 0xffffffffn, 0x7fffffffffffffffn, 0xffffffffffffffffn, 4096n]);
      if (changed.length >= 8) changed.writeBigUInt64LE(value, random.below(changed.length - 7));
      return changed;
    }
  }
}

function mutateText(text, random) {
  const place = random.below(text.length + 1);
  const insert = (what) => text.slice(0, place) + what + text.slice(place);
  switch (random.below(8)) {
    case 0: {
      const numbers = [...text.matchAll(/-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g)];
      if (numbers.length === 0) return insert(random.pick(NUMBERS));
      const found = random.pick(numbers);
      return text.slice(0, found.index) + random.pick(NUMBERS) + text.slice(found.index + found[0].length);
    }
    case 1: {
      const words = [...text.matchAll(/[A-Za-z_]\w*/g)];
      if (words.length === 0) return insert(random.pick(NAMES));
      const found = random.pick(words);
      return text.slice(0, found.index) + random.pick(NAMES) + text.slice(found.index + found[0].length);
    }
    case 2: {
      const pair = random.pick([
        "[]",
        "{}",
        "()",
        '""',
        "''",
        "{{",
        "{%",
        "- ",
        "? ",
        "[ #]\n",
        "a: ",
        "&a ",
        "*a ",
        "\\",
        "<<: ",
      ]);
      return insert(pair.repeat(random.pick([1, 3, 101, 20_000])));
    }
    case 3: {
      const open = random.pick(["[", "{", "(", "[[", '{"a":', "- - ", "((", "not "]);
      return insert(open.repeat(random.pick([10, 1000, 50_000])));
    }
    case 4: {
      const lines = text.split("\n");
      const line = random.pick(lines);
      const count = Math.min(random.pick([1, 2, 30, 3000]), 1 + Math.floor(LONGEST_BYTES / (line.length + 1)));
      lines.splice(random.below(lines.length + 1), 0, ...new Array(count).fill(line));
      return lines.join("\n").slice(0, LONGEST_BYTES);
    }
    case 5: {
      const lines = text.split("\n");
      lines.splice(random.below(lines.length), 1 + random.below(3));
      return lines.join("\n");
    }
    case 6: {
      const odd = random.pick([
        "\u0000",
        "\ufeff",
        "\u2028",
        "\u0301",
        "e\u0323\u0301",
        "\u{1f600}",
        "\u00a0",
        "\r",
        "\t",
        "%",
        "\u1100\u1161",
      ]);
      return insert(odd.repeat(random.pick([1, 2, 200, 100_000])));
    }
    default: {
      let many = "";
      const count = random.pick([10, 1000, 30_000]);
      const form = random.pick([(n) => `k${n}: ${n}\n`, (n) => `"k${n}": ${n},`, (n) => `- k${n}\n`, (n) => `k${n}, `]);
      for (let n = 0; n < count; n++) many += form(n);
      return insert(many);
    }
  }
}

/** A round before may have made it too deep for JSON.stringify. */
function shallowly(work, text, random) {
  try {
    return work(text, random);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** One line of several. */
function mutateLine(text, random) {
  const lines = text.split("\n");
  const place = random.below(lines.length);
  const mutated = mutateJson(lines[place], random);
  if (mutated === undefined) return undefined;
  lines[place] = mutated;
  return lines.join("\n");
}

/** Another value, key or depth somewhere in the document; undefined where the text is no JSON. */
function mutateJson(text, random) {
  let root;
  try {
    root = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof root !== "object" || root === null) return JSON.stringify(random.pick(VALUES));
  const places = [];
  const open = [root];
  while (open.length > 0 && places.length < 5000) {
    const holder = open.shift();
    for (const key of Object.keys(holder)) {
      places.push({ holder, key });
      if (typeof holder[key] === "object" && holder[key] !== null) open.push(holder[key]);
    }
  }
  if (places.length === 0) return JSON.stringify(random.pick(VALUES));
  // Early places, which the outer levels have, more often than those of long lists.
  const { holder, key } = places[Math.min(random.below(places.length), random.below(places.length))];
  const marker = "@@mutated@@";
  switch (random.below(7)) {
    case 0:
      holder[key] = random.pick(VALUES);
      break;
    case 1:
      delete holder[key];
      break;
    case 2:
      if (Array.isArray(holder)) holder.splice(random.below(holder.length + 1), 0, random.pick(VALUES));
      else
        Object.defineProperty(holder, random.pick(NAMES), {
          value: random.pick(VALUES),
          enumerable: true,
          configurable: true,
        });
      break;
    case 3: {
      const { holder: other, key: otherKey } = random.pick(places);
      holder[key] = structuredClone(other[otherKey]);
      break;
    }
    case 4: {
      holder[key] = marker;
      const depth = random.pick([3, 70, 20_000]);
      const deep =
        random.below(2) === 0 ? "[".repeat(depth) + "]".repeat(depth) : `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
      return JSON.stringify(root).replace(`"${marker}"`, deep);
    }
    case 5:
      holder[key] = marker;
      return JSON.stringify(root).replace(`"${marker}"`, random.pick(NUMBERS));
    default:
      if (Array.isArray(holder)) {
        const count = random.pick([1, 10, 3000]);
        const length = JSON.stringify(holder[key])?.length ?? 1;
        holder.push(...new Array(Math.min(count, 1 + Math.floor(LONGEST_BYTES / length))).fill(holder[key]));
      } else {
        const value = holder[key];
        delete holder[key];
        Object.defineProperty(holder, random.pick(NAMES), { value, enumerable: true, configurable: true });
      }
  }
  return JSON.stringify(root);
}
