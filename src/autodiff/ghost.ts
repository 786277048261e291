import { EspalierError } from "../errors.ts";
import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { dataTypes, operatorKey, sizeOf } from "../onnx/ir.ts";
import { scaled } from "./arithmetic.ts";
import type { Use } from "./backward.ts";

/**
 * Per-pair gradient norms without per-pair gradients.
 *
 * The batch is pair-major, `[s1, s~1, s2, s~2, ...]`, and every activation has it as its leading axis (alone, or folded
 * with the axes that follow). So `[2P, T, I]` read as `[P, 2T, I]` puts a pair's two views in one row block at no cost,
 * and for `Y = X W` a pair's gradient is `G = X^T dY`, with `||G||_F^2 = sum((X X^T) * (dY dY^T))` (Goodfellow 2015,
 * arXiv 1510.01799; for sequences Li et al. 2021, arXiv 2110.05679).
 */

/** One side of a product, its rows being a pair's tokens: [P, n, width]. */
interface Factor {
  readonly width: number;
  readonly n: number;
  /** Multiply-adds of a pair's gram matrix. */
  readonly gramCost: number;
  /** [P, n, width] */
  rows(): Value;
  /** The products of all pairs of rows: [P, n, n]. */
  gram(): Value;
}

/** What a use adds to its parameter's gradient: `left^T right` per pair, or a tensor [P, ...shape]. */
type Contribution = { readonly left: Factor; readonly right: Factor } | { readonly gradient: Value };

type ContributionRule = (ghost: Ghost, use: Use) => Contribution | null;

/** How operators meet their weights. Null, or an operator not named, is summed down from its gradient rule's cotangent. */
const contributions: Readonly<Record<string, ContributionRule>> = {
  MatMul: (g, { primal, inputIndex, dy }) => {
    const [x, w] = primal.inputs;
    return inputIndex === 1 && w.shape.length === 2 ? { left: g.factor(x), right: g.factor(dy) } : null;
  },
  Gemm: (g, { primal, inputIndex, dy }) => {
    const { node, inputs } = primal;
    if (inputIndex !== 1 || attr.intOf(node, "transA", 0) === 1) return null;
    const [x, y] = [g.factor(inputs[0]), g.factor(scaled(g.b, dy, attr.floatOf(node, "alpha", 1)))];
    return attr.intOf(node, "transB", 0) === 1 ? { left: y, right: x } : { left: x, right: y };
  },
  Gather: (g, { primal, inputIndex, dy }) => {
    const { node, inputs } = primal;
    const [table, indices] = inputs;
    if (inputIndex !== 0 || table.shape.length !== 2 || attr.intOf(node, "axis", 0) !== 0) return null;
    return { left: g.lookup(indices, table.shape[0] as number), right: g.factor(dy) };
  },
};

class Ghost {
  readonly #shared = new Map<string, Value>();

  constructor(
    readonly b: GraphBuilder,
    readonly pairs: number,
  ) {}

  /** Views [2P, ..., width], or the same with leading axes folded together, as one side of a product. */
  factor(v: Value): Factor {
    const width = v.shape.at(-1) as number;
    const n = this.#perPair(v) / width;
    const rows = () => this.#once(`rows ${v.name}`, () => this.b.reshape(v, [this.pairs, n, width]));
    const gram = () => this.#once(`gram ${v.name}`, () => this.b.matMul(rows(), this.b.transpose(rows())));
    return { width, n, gramCost: n * n * width, rows, gram };
  }

  /** The one-hot rows of indices [2P, ...]: their gram matrix says which indices are equal, and they need not be formed. */
  lookup(indices: Value, width: number): Factor {
    const { b, pairs } = this;
    const n = this.#perPair(indices);
    const ids = b.cast(indices, "int64", dataTypes.int64.onnx);
    const across = () => b.reshape(ids, [pairs, 1, n]);
    const down = () => b.reshape(ids, [pairs, n, 1]);
    const same = (p: Value, q: Value, shape: readonly number[]) =>
      b.cast(b.op("Equal", [p, q], shape, {}, "bool"), "float32", dataTypes.float32.onnx);
    const rows = () => same(down(), b.ints([...Array(width).keys()], [1, 1, width]), [pairs, n, width]);
    return { width, n, gramCost: n * n, rows, gram: () => same(down(), across(), [pairs, n, n]) };
  }

  /** The gradient of a product, [P, left.width, right.width]. */
  direct({ left, right }: { left: Factor; right: Factor }): Value {
    return this.b.matMul(this.b.transpose(left.rows()), right.rows());
  }

  contribution(use: Use): Contribution {
    const rule = contributions[operatorKey(use.primal.node)];
    return rule?.(this, use) ?? { gradient: this.#summed(use) };
  }

  /** The rule's cotangent, summed over all that was broadcast but the pairs: [P, ...shape of the parameter]. */
  #summed({ primal, inputIndex, dx }: Use): Value {
    const parameter = primal.inputs[inputIndex] as Value;
    const missing = dx.shape.length - parameter.shape.length;
    const padded = [...Array<number>(missing).fill(1), ...parameter.shape];
    if (padded[0] !== 1)
      throw new EspalierError("UNSUPPORTED_PARAMETER_USE", `node "${primal.node.name}" reads "${parameter.name}" outside the batch`, {
        node: primal.node.name,
        operator: operatorKey(primal.node),
        parameter: parameter.name,
      });
    this.#perPair(dx);
    const split = this.b.reshape(dx, [this.pairs, (dx.shape[0] as number) / this.pairs, ...dx.shape.slice(1)]);
    const axes = [...dx.shape.keys()].filter((i) => i === 0 || (padded[i] === 1 && dx.shape[i] !== 1)).map((i) => i + 1);
    return this.b.reshape(this.b.reduceSum(split, axes), [this.pairs, ...parameter.shape]);
  }

  /** Elements per pair. */
  #perPair(v: Value): number {
    if ((v.shape[0] ?? 1) % (2 * this.pairs) !== 0)
      throw new EspalierError("UNSUPPORTED_LAYOUT", `"${v.name}" of shape [${v.shape}] does not lead with the batch of ${2 * this.pairs}`, {
        value: v.name,
      });
    return sizeOf(v.shape) / this.pairs;
  }

  #once(key: string, make: () => Value): Value {
    const value = this.#shared.get(key) ?? make();
    this.#shared.set(key, value);
    return value;
  }
}

/** Concatenates rows of several uses, so that one parameter read several times is one product: exact, as G adds up. */
function stacked(b: GraphBuilder, factors: readonly Factor[]): Factor {
  const [first] = factors as readonly [Factor];
  if (factors.length === 1) return first;
  const n = factors.reduce((sum, f) => sum + f.n, 0);
  const rows = b.concat(
    factors.map((f) => f.rows()),
    1,
  );
  return { width: first.width, n, gramCost: n * n * first.width, rows: () => rows, gram: () => b.matMul(rows, b.transpose(rows)) };
}

/** Sums all but the pairs, in two stages: a float32 sum over millions of terms in one run loses digits. [P, ...] to [P, 1] */
function sumPerPair(b: GraphBuilder, v: Value): Value {
  const pairs = v.shape[0] as number;
  const last = v.shape.length > 1 ? (v.shape.at(-1) as number) : 1;
  return b.reduceSum(b.reduceSum(b.reshape(v, [pairs, sizeOf(v.shape) / pairs / last, last]), [2], false), [1]);
}

/** Sums all but the pairs and one axis. [P, ...shape] to [P, shape[axis]] */
function sumAlong(b: GraphBuilder, v: Value, axis: number): Value {
  const others = [...v.shape.keys()].filter((i) => i !== 0 && i !== axis + 1);
  return others.length === 0 ? v : b.reduceSum(v, others, false);
}

/** What the norms of `G = left^T right` take beside forming G: of the whole [P, 1], or along its rows (axis 0) or columns [P, width]. */
function byGrams(b: GraphBuilder, left: Factor, right: Factor, axis: number | null): { readonly cost: number; norms(): Value } {
  if (axis === null) return { cost: left.gramCost + right.gramCost, norms: () => sumPerPair(b, b.mul(left.gram(), right.gram())) };
  const [own, other] = axis === 0 ? [left, right] : [right, left];
  return {
    cost: other.gramCost + own.n * own.n * own.width,
    norms: () => sumAlong(b, b.mul(own.rows(), b.matMul(other.gram(), own.rows())), 1),
  };
}

function squaredNorm(ghost: Ghost, uses: readonly Use[], axis: number | null): Value {
  const { b } = ghost;
  const parts = uses.map((use) => ghost.contribution(use));
  const products = parts.filter((p) => "left" in p);
  if (products.length === parts.length) {
    const side = (name: "left" | "right") =>
      stacked(
        b,
        products.map((p) => p[name]),
      );
    const [left, right] = [side("left"), side("right")];
    const grams = byGrams(b, left, right, axis);
    if (grams.cost <= left.n * left.width * right.width) return grams.norms();
  }
  const gradient = parts.map((p) => ("left" in p ? ghost.direct(p) : p.gradient)).reduce(b.add);
  const squares = b.mul(gradient, gradient);
  return axis === null ? sumPerPair(b, squares) : sumAlong(b, squares, axis);
}

/** Of what the norms are wanted: a whole parameter's gradient, or each of its slices along an axis. */
export interface NormRequest {
  readonly parameter: string;
  readonly axis: number | null;
}

/**
 * The squared Frobenius norms of parameters' gradients, or of their slices along an axis, for each pair of views.
 *
 * A product's norms are taken by gram matrices or by forming `G = X^T dY`, whichever takes fewer multiplications; matrices
 * that share an input share its gram matrix. Of row i of G the squared norm is `sum_t X_ti (dY dY^T X)_ti`, of column j
 * `sum_t dY_tj (X X^T dY)_tj`.
 *
 * @param uses by parameter, as `backward` gives them
 * @param requests of parameters that are among them
 * @returns one for each request: [P, 1] for a whole, [P, size of the axis] for slices
 * @throws EspalierError UNSUPPORTED_LAYOUT if an activation does not lead with the batch; UNSUPPORTED_PARAMETER_USE if a
 *   parameter meets no activation where it is read (as when an operator first transforms the weight itself)
 */
export function squaredNorms(
  b: GraphBuilder,
  pairs: number,
  uses: ReadonlyMap<string, readonly Use[]>,
  requests: readonly NormRequest[],
): Value[] {
  const ghost = new Ghost(b, pairs);
  return requests.map(({ parameter, axis }) => squaredNorm(ghost, uses.get(parameter) as readonly Use[], axis));
}
