/** The parsed form of a template: what the parser makes and the evaluator goes through. */

export type Expression =
  | { readonly kind: "constant"; readonly value: null | boolean | bigint | number | string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [Expression, Expression])[] }
  /** `object.name` */
  | { readonly kind: "attribute"; readonly object: Expression; readonly name: string }
  /** `object[index]` */
  | { readonly kind: "item"; readonly object: Expression; readonly index: Expression }
  | { readonly kind: "slice"; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly kind: "call"; readonly callee: Expression; readonly given: GivenArguments }
  | {
      readonly kind: "filter" | "test";
      readonly operand: Expression;
      readonly name: string;
      readonly given: GivenArguments;
    }
  | { readonly kind: "not"; readonly operand: Expression }
  | { readonly kind: "sign"; readonly sign: "+" | "-"; readonly operand: Expression }
  | {
      readonly kind: "arithmetic";
      readonly operator: Arithmetic;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: "concatenation"; readonly parts: readonly Expression[] }
  /** `1 < x <= 3`: every operator compares with what stands before it. */
  | { readonly kind: "comparison"; readonly first: Expression; readonly rest: readonly ComparisonPart[] }
  | { readonly kind: "and" | "or"; readonly left: Expression; readonly right: Expression }
  | {
      readonly kind: "conditional";
      readonly test: Expression;
      readonly then: Expression;
      readonly otherwise: Expression | undefined;
    };

export type Arithmetic = "+" | "-" | "*" | "/" | "//" | "%" | "**";
export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

export interface ComparisonPart {
  readonly operator: Comparison;
  readonly operand: Expression;
}

export interface GivenArguments {
  readonly positional: readonly Expression[];
  readonly keyword: readonly (readonly [string, Expression])[];
  /** `*expression` and `**expression`. */
  readonly spread: Expression | undefined;
  readonly keywordSpread: Expression | undefined;
}

export const NO_ARGUMENTS: GivenArguments = {
  positional: [],
  keyword: [],
  spread: undefined,
  keywordSpread: undefined,
};

/** What a value can be assigned to. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  /** `namespace.attribute` */
  | { readonly kind: "member"; readonly namespace: string; readonly attribute: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly byDefault: Expression | undefined;
}

export interface Branch {
  readonly test: Expression;
  readonly body: readonly Statement[];
}

export type Statement =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "output"; readonly expression: Expression }
  | { readonly kind: "if"; readonly branches: readonly Branch[]; readonly otherwise: readonly Statement[] }
  | {
      readonly kind: "for";
      readonly target: Target;
      readonly iterable: Expression;
      readonly test: Expression | undefined;
      readonly recursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: "break" | "continue" }
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: "set-block";
      readonly target: Target;
      readonly filters: FilterChain;
      readonly body: readonly Statement[];
    }
  | { readonly kind: "filter-block"; readonly filters: FilterChain; readonly body: readonly Statement[] }
  | {
      readonly kind: "with";
      readonly assignments: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: "scope"; readonly body: readonly Statement[] }
  | {
      readonly kind: "macro";
      readonly name: string;
      readonly parameters: readonly Parameter[];
      readonly body: readonly Statement[];
    }
  /** `{% call(x) f() %}`: the body is what `caller(x)` gives inside `f`. */
  | {
      readonly kind: "call-block";
      readonly call: Expression & { readonly kind: "call" };
      readonly parameters: readonly Parameter[];
      readonly body: readonly Statement[];
    };

/** Filters of a block, in the order in which they are applied. */
export type FilterChain = readonly { readonly name: string; readonly given: GivenArguments }[];
