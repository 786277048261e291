import { intOf, intsOf } from "../onnx/attributes.ts";
import { normalizeAxis } from "../onnx/builder.ts";
import { type Node, operatorKey } from "../onnx/ir.ts";

/** A node before and after entries went, as far as the operands that state shapes are concerned. */
export interface Resized {
  readonly node: Node;
  /** Shapes of each input and output after. */
  readonly x: readonly (readonly number[])[];
  readonly y: readonly (readonly number[])[];
  /** Elements of an input before; null if it is absent or depends on the data. */
  ints(input: number): readonly number[] | null;
  /** How many of the first entries of an axis of the first input stay. */
  moved(axis: number, position: number): number;
  /** Sizes of the first input before. */
  readonly before: readonly number[];
}

/** What operands must be; null if an operand that states a shape depends on the data. */
type Target = (r: Resized) => readonly (readonly [input: number, values: readonly number[]])[] | null;

/** Entries that are worked out from others stay as they are: -1 is what is left, 0 what the input has at that place. */
const reshape: Target = (r) => {
  const [[x = [], y = []], shape] = [[r.x[0], r.y[0]], r.ints(1)];
  const worked = (d: number, i: number) => d === -1 || (d === 0 && x[i] === y[i]);
  return shape && [[1, shape.map((d, i) => (worked(d, i) ? d : (y[i] as number)))]];
};

const expand: Target = (r) => {
  const shape = r.ints(1);
  const y = r.y[0] ?? [];
  return shape && [[1, shape.map((d, i) => (d === 1 ? 1 : (y[y.length - shape.length + i] ?? d)))]];
};

const split: Target = (r) => {
  const at = normalizeAxis(intOf(r.node, "axis", 0), r.before.length);
  if (r.node.inputs[1]) return r.ints(1) && [[1, r.y.map((y) => y[at] as number)]];
  return [];
};

const slice: Target = (r) => {
  const [starts, ends] = [r.ints(1), r.ints(2)];
  if (!starts || !ends) return null;
  const axes = (intsOf(r.node, "axes") ?? r.ints(3) ?? [...starts.keys()]).map((a) => normalizeAxis(a, r.before.length));
  /** A place in the axis, counted from where it was counted before; places beyond the end stay beyond. */
  const place = (position: number, i: number) => {
    const axis = axes[i] as number;
    const size = r.before[axis] as number;
    if (position > size || position < -size) return position;
    return position < 0 ? r.moved(axis, size + position) - r.moved(axis, size) : r.moved(axis, position);
  };
  const steps = r.ints(4);
  // Of a stride the start is a place within it, which stays.
  const strided = (i: number) => (steps?.[i] ?? 1) !== 1;
  return [
    [1, starts.map((start, i) => (strided(i) ? start : place(start, i)))],
    [2, ends.map(place)],
  ];
};

/** One place known beforehand moves with the entries before it; places chosen by the text are of an axis that stays whole. */
const lookup =
  (axisOf: (r: Resized) => number): Target =>
  (r) => {
    const index = r.ints(1);
    return index?.length === 1 && (index[0] as number) >= 0 ? [[1, [r.moved(axisOf(r), index[0] as number)]]] : [];
  };

/** What each operator's shape operands must be after entries went. */
const targets: Readonly<Record<string, Target>> = {
  ConstantOfShape: (r) => r.ints(0) && [[0, r.y[0] ?? []]],
  Expand: expand,
  Gather: lookup((r) => normalizeAxis(intOf(r.node, "axis", 0), r.before.length)),
  GatherND: lookup((r) => intOf(r.node, "batch_dims", 0)),
  Reshape: reshape,
  Slice: slice,
  Split: split,
};

export const shapeTargets = (r: Resized): ReturnType<Target> => (targets[operatorKey(r.node)] ?? (() => []))(r);
