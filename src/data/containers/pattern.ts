/**
 * Patterns of paths: `*` and `?` within a name, `**` for any folders, `[abc]`, `{a,b}`. The result is in the order of
 * the names' code units, whatever the file system says.
 */
import { readdir } from "node:fs/promises";
import { isAbsolute, join, parse, sep } from "node:path";
import { inputError } from "../../errors.ts";

const SPECIAL = /[*?[\]{}]/;

/** More than these alternatives are no pattern that somebody means. */
const MOST_ALTERNATIVES = 1000;

export function isPattern(path: string): boolean {
  return SPECIAL.test(path);
}

/** The paths that fit, each once. */
export async function matchingPaths(pattern: string): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const one of alternatives(pattern)) {
    const root = isAbsolute(one) ? parse(one).root : "";
    let paths: string[] = [root];
    for (const segment of one
      .slice(root.length)
      .split(sep === "\\" ? /[\\/]/ : "/")
      .filter((name) => name !== "")) {
      paths = await following(paths, segment);
    }
    for (const path of paths) found.add(path);
  }
  return [...found].sort();
}

async function following(folders: readonly string[], segment: string): Promise<string[]> {
  if (!isPattern(segment)) return folders.map((folder) => join(folder, segment));
  const found: string[] = [];
  for (const folder of folders) {
    if (segment === "**") found.push(...(await foldersBelow(folder)));
    else {
      const fits = expressionOf(segment);
      for (const name of await namesIn(folder)) if (fits.test(name)) found.push(join(folder, name));
    }
  }
  return found;
}

/** The folder itself and all below it; links are not followed, so there are no circles. */
async function foldersBelow(folder: string): Promise<string[]> {
  const found = [folder];
  for (let index = 0; index < found.length; index++) {
    const entries = await readdir(found[index] || ".", { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (entry.isDirectory() && !entry.name.startsWith(".")) found.push(join(found[index]!, entry.name));
    }
  }
  return found;
}

/** Hidden files are meant by nobody. */
async function namesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder || ".").catch(() => []);
  return names.filter((name) => !name.startsWith("."));
}

function expressionOf(segment: string): RegExp {
  const source = segment.replace(/\*+|\?|\[[!^]?[^\]]+\]|[\\^$.*+?()[\]{}|/]/g, (mark) => {
    if (mark.startsWith("*")) return ".*";
    if (mark === "?") return ".";
    if (!mark.startsWith("[") || mark.length < 3) return `\\${mark}`;
    const negated = /^\[[!^]/.test(mark);
    const inner = mark.slice(negated ? 2 : 1, -1).replace(/[\\\]^]/g, "\\$&");
    return `[${negated ? "^" : ""}${inner}]`;
  });
  try {
    return new RegExp(`^${source}$`, "u");
  } catch (error) {
    throw inputError(segment, "expected a pattern of file names, found one that cannot be read", error);
  }
}

/** `{a,b}` written out. */
function alternatives(pattern: string): readonly string[] {
  let patterns = [pattern];
  for (;;) {
    const next = patterns.flatMap((one) => {
      const match = /\{([^{}]*,[^{}]*)\}/.exec(one);
      if (match === null) return [one];
      const before = one.slice(0, match.index);
      const after = one.slice(match.index + match[0].length);
      return match[1]!.split(",").map((choice) => before + choice + after);
    });
    if (next.length > MOST_ALTERNATIVES)
      throw inputError(pattern, `expected at most ${MOST_ALTERNATIVES} alternatives`);
    if (next.length === patterns.length && next.every((one, index) => one === patterns[index])) return patterns;
    patterns = next;
  }
}
