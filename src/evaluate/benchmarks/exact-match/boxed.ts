/** `\boxed{...}`, in which models that were taught mathematics give their answer. */

const MARK = "\\boxed{";

/** What stands in the last one, with its braces in pairs, or null where there is none. */
export function lastBoxed(text: string): string | null {
  const start = text.lastIndexOf(MARK);
  if (start < 0) return null;
  let depth = 1;
  for (let place = start + MARK.length; place < text.length; place++) {
    if (text[place] === "\\") place += 1;
    else if (text[place] === "{") depth += 1;
    else if (text[place] === "}" && --depth === 0) return plain(text.slice(start + MARK.length, place));
  }
  return null;
}

/** Without what LaTeX adds to letters and numbers: fractions are written 3/4, words and units stand without commands. */
function plain(latex: string): string {
  return latex
    .replace(/\\[dt]?frac\s{0,4}\{([^{}]*)\}\s{0,4}\{([^{}]*)\}/g, "$1/$2")
    .replace(/\\[dt]?frac\s{0,4}(\d)\s{0,4}(\d)/g, "$1/$2")
    .replace(/\\(?:text|textbf|mathrm|mathbf|mbox)\s{0,4}\{([^{}]*)\}/g, "$1")
    .replaceAll("{,}", ",")
    .replace(/\\[,!;: ]/g, "")
    .replace(/\\([$%])/g, "$1")
    .trim();
}
