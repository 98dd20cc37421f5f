/**
 * Which names a body hides until it sets them. Jinja decides before it runs a template what a name is: where the first
 * thing that a body does with a name is to set it, and nothing around it knows the name, it has no value before that,
 * not even the one that the template is rendered with. Loops, macros and blocks are bodies of their own; what only a
 * branch of an `if` sets keeps its value from outside.
 */
import type { Expression, FilterChain, Parameter, Statement, Target } from "./syntax.ts";

type Body = readonly Statement[];

/** For every body of the template, the names that it hides. */
export type HiddenNames = ReadonlyMap<Body, readonly string[]>;

export function findHiddenNames(template: Body): HiddenNames {
  const hidden = new Map<Body, readonly string[]>();
  analyse(template, new Frame(undefined), hidden);
  return hidden;
}

/** The names that a body knows so far. */
class Frame {
  readonly parent: Frame | undefined;
  readonly #hidden: Map<string, boolean>;
  readonly #stored: Set<string>;

  constructor(parent: Frame | undefined, from?: Frame) {
    this.parent = parent;
    this.#hidden = new Map(from === undefined ? [] : from.#hidden);
    this.#stored = new Set(from === undefined ? [] : from.#stored);
  }

  knows(name: string): boolean {
    return this.#hidden.has(name) || this.parent?.knows(name) === true;
  }

  load(name: string): void {
    if (!this.knows(name)) this.#hidden.set(name, false);
  }

  store(name: string): void {
    this.#stored.add(name);
    if (!this.#hidden.has(name)) this.#hidden.set(name, this.parent?.knows(name) !== true);
  }

  declare(name: string): void {
    this.#stored.add(name);
    this.#hidden.set(name, false);
  }

  /** Takes over what branches do; what any of them is the first to set is not hidden. */
  join(branches: readonly Frame[]): void {
    const stored = branches.flatMap((branch) => [...branch.#stored]).filter((name) => !this.#stored.has(name));
    for (const branch of branches) {
      for (const [name, isHidden] of branch.#hidden) this.#hidden.set(name, isHidden);
      for (const name of branch.#stored) this.#stored.add(name);
    }
    for (const name of stored) this.#hidden.set(name, false);
  }

  hiddenNames(): readonly string[] {
    return [...this.#hidden].filter(([, isHidden]) => isHidden).map(([name]) => name);
  }
}

function analyse(body: Body, frame: Frame, hidden: Map<Body, readonly string[]>): void {
  for (const statement of body) visit(statement, frame);
  hidden.set(body, frame.hiddenNames());
  for (const statement of body) analyseInside(statement, frame, hidden);
}

/** What a statement does with the names of the body that it stands in. */
function visit(statement: Statement, frame: Frame): void {
  switch (statement.kind) {
    case "output":
      load(statement.expression, frame);
      return;
    case "if":
      visitBranches(statement.branches, statement.otherwise, frame);
      return;
    case "for":
      load(statement.iterable, frame);
      return;
    case "set":
      load(statement.value, frame);
      store(statement.target, frame);
      return;
    case "set-block":
      store(statement.target, frame);
      return;
    case "filter-block":
      load(statement.filters, frame);
      return;
    case "with":
      for (const [, value] of statement.assignments) load(value, frame);
      return;
    case "macro":
      frame.store(statement.name);
      return;
    case "call-block":
      load(statement.call, frame);
      return;
  }
}

/** An `elif` is an `if` inside the second of three branches. */
function visitBranches(
  [first, ...rest]: (Statement & { readonly kind: "if" })["branches"],
  otherwise: Body,
  frame: Frame,
): void {
  load(first!.test, frame);
  const branch = (work: (inner: Frame) => void): Frame => {
    const inner = new Frame(frame.parent, frame);
    work(inner);
    return inner;
  };
  frame.join([
    branch((inner) => {
      for (const statement of first!.body) visit(statement, inner);
    }),
    branch((inner) => {
      for (const one of rest) visitBranches([one], [], inner);
    }),
    branch((inner) => {
      for (const statement of otherwise) visit(statement, inner);
    }),
  ]);
}

/** The bodies inside a statement, each in a frame of its own. */
function analyseInside(statement: Statement, frame: Frame, hidden: Map<Body, readonly string[]>): void {
  const inner = new Frame(frame);
  switch (statement.kind) {
    case "if":
      for (const body of [...statement.branches.map((branch) => branch.body), statement.otherwise]) {
        for (const one of body) analyseInside(one, frame, hidden);
      }
      return;
    case "for":
      inner.declare("loop");
      declare(statement.target, inner);
      analyse(statement.body, inner, hidden);
      analyse(statement.otherwise, new Frame(frame), hidden);
      return;
    case "macro":
    case "call-block":
      declareParameters(statement.parameters, inner);
      analyse(statement.body, inner, hidden);
      return;
    case "with":
      for (const [target] of statement.assignments) declare(target, inner);
      analyse(statement.body, inner, hidden);
      return;
    case "set-block":
    case "filter-block":
    case "scope":
      analyse(statement.body, inner, hidden);
      return;
  }
}

function declareParameters(parameters: readonly Parameter[], frame: Frame): void {
  for (const { name } of parameters) frame.declare(name);
  for (const { byDefault } of parameters) if (byDefault !== undefined) load(byDefault, frame);
  for (const name of ["caller", "varargs", "kwargs"]) frame.declare(name);
}

function declare(target: Target, frame: Frame): void {
  if (target.kind === "name") frame.declare(target.name);
  else if (target.kind === "tuple") for (const item of target.items) declare(item, frame);
}

function store(target: Target, frame: Frame): void {
  if (target.kind === "name") frame.store(target.name);
  else if (target.kind === "member") frame.load(target.namespace);
  else for (const item of target.items) store(item, frame);
}

/** Every name in an expression, or in the arguments of filters. */
function load(part: Expression | FilterChain, frame: Frame): void {
  const search = (value: unknown): void => {
    if (Array.isArray(value)) for (const one of value) search(one);
    else if (typeof value === "object" && value !== null) {
      if ("kind" in value && value.kind === "name" && "name" in value) frame.load(String(value.name));
      else for (const one of Object.values(value)) search(one);
    }
  };
  search(part);
}
