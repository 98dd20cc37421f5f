/**
 * Cuts CSV text into rows, piece by piece (RFC 4180, and what programs write beside it: rows that end with a carriage
 * return alone, empty lines between them). Every character is looked at once, whatever the pieces are; a row that is too
 * long is not held.
 */

/** A row that cannot be cut. Rows count from 1 behind the first, which has the names of the columns. */
export class CsvProblem extends Error {}

/** The cells of a row; null for one that is too long. */
export type CsvRow = readonly string[] | null;

const COMMA = 0x2c;
const QUOTE = 0x22;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/** Where in a cell the next character stands: `closed` is behind a quote that ends the cell, or is the first of two. */
type Place = "begin" | "plain" | "quoted" | "closed";

export class CsvSplitter {
  readonly #longest: number;
  #place: Place = "begin";
  /** Whole cells of the row under way, and what earlier pieces had of its last one. */
  #cells: string[] = [];
  #cell = "";
  /** Characters of the row under way. */
  #length = 0;
  #rows = 0;

  /** Rows of more than `longest` characters are null. */
  constructor(longest: number) {
    this.#longest = longest;
  }

  /** The rows that end in this piece of the text. */
  split(text: string): CsvRow[] {
    const rows: CsvRow[] = [];
    let begin = 0;
    for (let at = 0; at < text.length; at++) {
      if (this.#place === "quoted") {
        const quote = text.indexOf('"', at);
        at = quote < 0 ? text.length : quote;
        this.#add(text, begin, at);
        begin = at + 1;
        if (quote >= 0) this.#place = "closed";
        continue;
      }
      const code = text.charCodeAt(at);
      if (code === COMMA) {
        this.#add(text, begin, at);
        this.#endCell();
        begin = at + 1;
      } else if (code === LINE_FEED || code === CARRIAGE_RETURN) {
        this.#add(text, begin, at);
        if (!this.#isEmptyLine()) rows.push(this.#endRow());
        begin = at + 1;
      } else if (code === QUOTE) {
        if (this.#place === "plain") throw this.#problem("a quote within a cell that does not begin with one");
        if (this.#place === "closed") this.#cell += '"';
        this.#place = "quoted";
        begin = at + 1;
      } else if (this.#place === "closed") {
        throw this.#problem("something between the quote that ends a cell and the next comma");
      } else this.#place = "plain";
    }
    this.#add(text, begin, text.length);
    return rows;
  }

  /** The row at the end of the text, where no line feed follows it. */
  finish(): CsvRow[] {
    if (this.#place === "quoted") throw this.#problem("a quote that is never closed");
    return this.#isEmptyLine() ? [] : [this.#endRow()];
  }

  #add(text: string, begin: number, end: number): void {
    if (end <= begin) return;
    this.#length += end - begin;
    if (this.#length <= this.#longest) this.#cell += text.slice(begin, end);
  }

  #endCell(): void {
    // Even empty cells take memory.
    this.#length += 1;
    if (this.#length <= this.#longest) this.#cells.push(this.#cell);
    this.#cell = "";
    this.#place = "begin";
  }

  #isEmptyLine(): boolean {
    return this.#place === "begin" && this.#cells.length === 0 && this.#length === 0;
  }

  #endRow(): CsvRow {
    this.#endCell();
    const row = this.#length > this.#longest ? null : this.#cells;
    this.#cells = [];
    this.#length = 0;
    this.#rows += 1;
    return row;
  }

  #problem(found: string): CsvProblem {
    return new CsvProblem(`${this.#rows === 0 ? "the first line" : `row ${this.#rows}`} has ${found}`);
  }
}
