/** An expression. `line` counts from 1. */
export type Expression = { readonly line: number } & (
  | { readonly kind: "constant"; readonly value: null | boolean | bigint | number | string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "list" | "tuple"; readonly items: readonly Expression[] }
  | { readonly kind: "dict"; readonly entries: readonly (readonly [key: Expression, value: Expression])[] }
  | { readonly kind: "attribute"; readonly of: Expression; readonly name: string }
  | { readonly kind: "item"; readonly of: Expression; readonly key: Expression }
  | {
      readonly kind: "slice";
      readonly of: Expression;
      readonly bounds: readonly [from: Expression | null, to: Expression | null, step: Expression | null];
    }
  | { readonly kind: "call"; readonly of: Expression; readonly args: Arguments }
  | { readonly kind: "filter"; readonly of: Expression | null; readonly name: string; readonly args: Arguments }
  | { readonly kind: "test"; readonly of: Expression; readonly name: string; readonly args: Arguments }
  | { readonly kind: "unary"; readonly operator: "not" | "-" | "+"; readonly of: Expression }
  | { readonly kind: "binary"; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "compare"; readonly first: Expression; readonly rest: readonly (readonly [operator: string, right: Expression])[] }
  | { readonly kind: "concat"; readonly items: readonly Expression[] }
  | { readonly kind: "choice"; readonly test: Expression; readonly yes: Expression; readonly otherwise: Expression | null }
);

/** What a call is given. */
export interface Arguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [name: string, value: Expression])[];
  /** After one star, and after two. */
  readonly more: Expression | null;
  readonly moreNamed: Expression | null;
}

/** What is assigned to: names, or a field of a namespace. */
export type Target =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "field"; readonly name: string; readonly field: string }
  | { readonly kind: "tuple"; readonly items: readonly Target[] };

export interface Parameter {
  readonly name: string;
  readonly otherwise: Expression | null;
}

export type Block = readonly Statement[];

export type Statement = { readonly line: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "print"; readonly value: Expression }
  | { readonly kind: "if"; readonly branches: readonly (readonly [test: Expression, body: Block])[]; readonly otherwise: Block }
  | {
      readonly kind: "for";
      readonly target: Target;
      readonly over: Expression;
      readonly only: Expression | null;
      readonly recursive: boolean;
      readonly body: Block;
      readonly otherwise: Block;
    }
  | { readonly kind: "set"; readonly target: Target; readonly value: Expression }
  /** The text of a body, through filters whose innermost `of` is null. */
  | { readonly kind: "capture"; readonly target: Target | null; readonly filter: Expression | null; readonly body: Block }
  | { readonly kind: "with"; readonly names: readonly (readonly [target: Target, value: Expression])[]; readonly body: Block }
  | { readonly kind: "macro"; readonly name: string; readonly parameters: readonly Parameter[]; readonly body: Block }
  | { readonly kind: "call"; readonly parameters: readonly Parameter[]; readonly call: Expression; readonly body: Block }
  | { readonly kind: "break" | "continue" }
);
