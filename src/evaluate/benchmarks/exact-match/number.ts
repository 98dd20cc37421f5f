/**
 * Numbers: an optional sign and currency, digits with or without separators of thousands (1,234), a decimal point, or
 * a fraction of two whole numbers (3/4). Units, percent signs and a full stop after it are no part of it. 1,234.50,
 * $1234.5 and +1234.5 are one number, so are 3/4 and 0.75; 1/3 and 0.333 are not.
 */
import type { Rule } from "./rule.ts";

/** A minus after a letter or digit joins words or subtracts; digits after a letter (x2) are part of a name. */
const NUMBER =
  /(?<![\p{L}\p{N}_.])(?<sign>[-+\u2212]?)(?:[$\u20ac\u00a3\u00a5] ?)?(?<inner>[-\u2212]?)(?:(?<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?<decimals>\.\d+)?|(?<bare>\.\d+))(?:\/(?<divisor>\d+)(?![\d/]))?/gu;

export const number: Rule = {
  name: "number",
  summary: "the number after ####, as in GSM8K",
  extract: (text) => {
    const mark = text.indexOf("####");
    if (mark < 0) return null;
    // GSM8K's own scorer takes the first mark too: a model that goes on asks itself another question.
    const line = text
      .slice(mark + 4)
      .trimStart()
      .split("\n", 1)[0]!;
    return numbersIn(line).next().value ?? null;
  },
};

export const lastNumber: Rule = {
  name: "last-number",
  summary: "the last number of the answer",
  extract: (text) => [...numbersIn(text)].at(-1) ?? null,
};

function* numbersIn(text: string): Generator<string, undefined> {
  for (const { groups } of text.matchAll(NUMBER)) {
    const found = spelling(groups!);
    if (found !== null) yield found;
  }
}

/** As many digits as it needs, exactly: 007.50 is 7.5. null for a division by zero. */
function spelling({ sign, inner, whole, decimals, bare, divisor }: Record<string, string | undefined>): string | null {
  const negative = /[-\u2212]/u.test(`${sign}${inner}`);
  let digits = (whole ?? "0").replaceAll(",", "").replace(/^0+(?=\d)/, "") + (decimals ?? bare ?? "");
  if (divisor !== undefined) {
    const quotient = Number(digits) / Number(divisor);
    if (!Number.isFinite(quotient)) return null;
    digits = String(quotient);
  }
  if (digits.includes(".") && !digits.includes("e")) digits = withoutTrailingZeros(digits);
  return negative && digits !== "0" ? `-${digits}` : digits;
}

/** By hand: a pattern for zeros before the end tries again at every zero. */
function withoutTrailingZeros(decimal: string): string {
  let end = decimal.length;
  while (decimal[end - 1] === "0") end--;
  return decimal.slice(0, decimal[end - 1] === "." ? end - 1 : end);
}
