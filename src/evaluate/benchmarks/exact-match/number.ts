/**
 * Numbers: an optional sign and currency, digits with or without separators of thousands (1,234), a decimal point, an
 * exponent (1e3), or a fraction of two whole numbers (3/4). Units, percent signs and a full stop after it are no part
 * of it. 1,234.50, $1234.5 and +1234.5 are one number, so are 1e3 and 1000, 3/4 and 0.75; 1/3 and 0.333 are not.
 */
import { lastBoxed } from "./boxed.ts";
import { type Rule, ruleFor } from "./rule.ts";

/** A minus after a letter or digit joins words or subtracts; digits after a letter (x2) are part of a name. */
const NUMBER =
  /(?<![\p{L}\p{N}_.])(?<sign>[-+\u2212]?)(?:[$\u20ac\u00a3\u00a5] ?)?(?<inner>[-\u2212]?)(?:(?<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?<decimals>\.\d+)?|(?<bare>\.\d+))(?:\/(?<divisor>\d+)(?![\d/])|[eE](?<exponent>[-+\u2212]?\d{1,3})(?![\p{L}\p{N}_]))?/gu;

export const number: Rule = ruleFor("number", "the number after ####, as in GSM8K, or in \\boxed{}", (text) => {
  const mark = text.indexOf("####");
  if (mark < 0) return boxedNumber(text);
  // GSM8K's own scorer takes the first mark too: a model that goes on asks itself another question.
  const line = text
    .slice(mark + 4)
    .trimStart()
    .split("\n", 1)[0]!;
  return numbersIn(lastBoxed(line) ?? line).next().value ?? null;
});

export const lastNumber: Rule = ruleFor(
  "last-number",
  "the number in \\boxed{}, else the last of the answer",
  (text) => {
    return boxedNumber(text) ?? [...numbersIn(text)].at(-1) ?? null;
  },
);

function boxedNumber(text: string): string | null {
  const boxed = lastBoxed(text);
  return boxed === null ? null : (numbersIn(boxed).next().value ?? null);
}

function* numbersIn(text: string): Generator<string, undefined> {
  for (const { groups } of text.matchAll(NUMBER)) {
    const found = spelling(groups!);
    if (found !== null) yield found;
  }
}

/** As many digits as it needs, exactly: 007.50 is 7.5. null for a division by zero. */
function spelling(groups: Record<string, string | undefined>): string | null {
  const { sign, inner, whole, decimals, bare, divisor, exponent } = groups;
  const negative = /[-\u2212]/u.test(`${sign}${inner}`);
  let digits = (whole ?? "0").replaceAll(",", "").replace(/^0+(?=\d)/, "") + (decimals ?? bare ?? "");
  if (divisor !== undefined) {
    const quotient = Number(digits) / Number(divisor);
    if (!Number.isFinite(quotient)) return null;
    digits = String(quotient);
  }
  if (exponent !== undefined) digits = shifted(digits, Number(exponent.replace("\u2212", "-")));
  if (digits.includes(".") && !digits.includes("e")) digits = withoutTrailingZeros(digits);
  return negative && digits !== "0" ? `-${digits}` : digits;
}

/** Digits with the point moved by so many places, to the right where they are above 0. */
function shifted(digits: string, places: number): string {
  const [whole, decimals = ""] = digits.split(".") as [string, string?];
  const point = whole.length + places;
  const all = whole + decimals;
  const padded = point < 1 ? "0".repeat(1 - point) + all : all.padEnd(point, "0");
  const cut = Math.max(1, point);
  const result = padded.slice(0, cut).replace(/^0+(?=\d)/, "");
  return padded.length > cut ? `${result}.${padded.slice(cut)}` : result;
}

/** By hand: a pattern for zeros before the end tries again at every zero. */
function withoutTrailingZeros(decimal: string): string {
  let end = decimal.length;
  while (decimal[end - 1] === "0") end--;
  return decimal.slice(0, decimal[end - 1] === "." ? end - 1 : end);
}
