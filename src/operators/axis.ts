import { append } from "../large-lists.ts";
/**
 * An axis of a tensor, known as far as the graph tells: a leaf of some size; an ordered product of axes, outermost first
 * (the columns of a query projection are `heads * width`); or a concatenation of axes (fused weights). Axes that must be
 * equal are unified, and refine each other: a leaf of 96 that meets `[4, 24]` becomes that product.
 *
 * Axes are nodes of a union-find; every function here looks through to the representative.
 */
export interface Axis {
  readonly size: number;
  /** What this axis was found to be the same as. */
  same: Axis | null;
  parts: Parts | null;
  /** Why no entry of it can go, or null. What is below a frozen axis is frozen too. */
  frozen: string | null;
  /**
   * Why no entry can go as if it were zero, or null: its entries are weighed against each other. One that they are chosen from can
   * go as if it had never been there.
   */
  weighed: string | null;
}

interface Parts {
  readonly kind: "product" | "concatenation";
  readonly axes: readonly Axis[];
}

const axis = (size: number, parts: Parts | null): Axis => ({ size, same: null, parts, frozen: null, weighed: null });

export const leaf = (size: number): Axis => axis(size, null);

export function product(axes: readonly Axis[]): Axis {
  const [only, ...more] = axes.filter((a) => a.size !== 1);
  if (only === undefined) return leaf(1);
  if (more.length === 0) return only;
  return axis(
    more.reduce((n, a) => n * a.size, only.size),
    { kind: "product", axes: [only, ...more] },
  );
}

export function concatenation(axes: readonly Axis[]): Axis {
  const [only, ...more] = axes.filter((a) => a.size !== 0);
  if (only === undefined) return leaf(0);
  if (more.length === 0) return only;
  return axis(
    more.reduce((n, a) => n + a.size, only.size),
    { kind: "concatenation", axes: [only, ...more] },
  );
}

/** The representative of an axis. */
export function find(a: Axis): Axis {
  let root = a;
  while (root.same) root = root.same;
  for (let x = a; x !== root; ) {
    const next = x.same as Axis;
    x.same = root;
    x = next;
  }
  return root;
}

/** Forbids the removal of any entry. The first reason stays. */
export const freeze = (a: Axis, reason: string): void => mark(a, "frozen", reason);

/** Forbids the removal of any entry that is not chosen from the others. The first reason stays. */
export const weigh = (a: Axis, reason: string): void => mark(a, "weighed", reason);

function mark(a: Axis, as: "frozen" | "weighed", reason: string): void {
  const root = find(a);
  if (root[as] !== null) return;
  root[as] = reason;
  for (const part of root.parts?.axes ?? []) mark(part, as, reason);
}

/** Makes two axes one, refining both; where their parts do not fit each other, both are frozen for that reason. */
export function unify(first: Axis, second: Axis, reason: string): void {
  const a = find(first);
  const b = find(second);
  if (a === b) return;
  const fits = a.size === b.size && (a.parts === null || b.parts === null || align(a, b, reason));
  if (!fits) {
    freeze(a, reason);
    freeze(b, reason);
  } else if (find(a) !== find(b)) {
    const [from, to] = a.parts === null ? [a, b] : [b, a];
    from.same = to;
    if (from.frozen !== null) freeze(to, from.frozen);
    if (from.weighed !== null) weigh(to, from.weighed);
  }
}

/** Matches the parts of two axes, each cut where the other is. False if the cuts do not fit. */
function align(a: Axis, b: Axis, reason: string): boolean {
  const kind = a.parts?.kind === "concatenation" && b.parts?.kind === "concatenation" ? "concatenation" : "product";
  const cut = kind === "product" ? factor : segment;
  const left = [a];
  const right = [b];
  for (;;) {
    const x = next(left, kind);
    const y = next(right, kind);
    if (x === undefined || y === undefined) return x === y;
    if (x.size === y.size) {
      unify(x, y, reason);
      continue;
    }
    const [big, small, rest] = x.size > y.size ? [x, y, left] : [y, x, right];
    const parts = cut(big, small.size, reason);
    if (!parts) return false;
    unify(parts[0], small, reason);
    rest.push(parts[1]);
  }
}

/** Takes the next part off a stack of axes, seen as parts of parts of this kind. Factors of size 1 say nothing. */
function next(stack: Axis[], kind: Parts["kind"]): Axis | undefined {
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const root = find(top);
    if (root.parts?.kind === kind) append(stack, [...root.parts.axes].reverse());
    else if (kind === "concatenation" || root.size !== 1) return root;
  }
  return undefined;
}

/** Writes an axis as `outer * inner`, its outer factor of the given size. Of a concatenation, each part must have that inner factor. */
function factor(a: Axis, size: number, reason: string): [outer: Axis, inner: Axis] | null {
  if (a.size % size !== 0) return null;
  const inner = leaf(a.size / size);
  if (!a.parts) {
    const outer = leaf(size);
    unify(a, product([outer, inner]), reason);
    return [outer, inner];
  }
  const segments = a.parts.axes;
  if (segments.some((s) => s.size % inner.size !== 0)) return null;
  const outer = concatenation(
    segments.map((s) => {
      const part = leaf(s.size / inner.size);
      unify(s, product([part, inner]), reason);
      return part;
    }),
  );
  a.parts = { kind: "product", axes: [outer, inner] };
  return [outer, inner];
}

/** Cuts an axis in two, the first of the given size. */
function segment(a: Axis, size: number, reason: string): [head: Axis, tail: Axis] {
  const head = leaf(size);
  const tail = leaf(a.size - size);
  unify(a, concatenation([head, tail]), reason);
  return [head, tail];
}

/** The leaves an axis is made of, each once. */
export function leavesOf(a: Axis, found: Set<Axis> = new Set()): Set<Axis> {
  const root = find(a);
  if (root.parts) for (const part of root.parts.axes) leavesOf(part, found);
  else if (root.size > 1) found.add(root);
  return found;
}
