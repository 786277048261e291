import { EspalierError } from "../errors.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { dataTypes, operatorKey, sizeAt, sizeOf } from "../onnx/ir.ts";
import type { Contribution, Factor, Factors, Use } from "../operators/operator.ts";
import { operatorOf } from "../operators/operators.ts";

/**
 * Gradients sample by sample, as products that need not be formed.
 *
 * The batch is sample-major, `[s1, s~1, s2, s~2, ...]` for samples of two views, and every activation has it as its leading
 * axis (alone, or folded with the axes that follow). So `[2S, T, I]` read as `[S, 2T, I]` puts a sample's views in one row
 * block at no cost, and for `Y = X W` a sample's gradient is `G = X^T dY`.
 */

/** How a batch is made up of samples. */
export interface Batch {
  readonly samples: number;
  /** Rows of the batch that are a sample's, one after the other. */
  readonly views: number;
}

export class Contributions implements Factors {
  readonly #shared = new Map<string, Value>();

  constructor(
    readonly b: GraphBuilder,
    private readonly batch: Batch,
  ) {}

  get samples(): number {
    return this.batch.samples;
  }

  /** Rows [views * S, ..., width], or the same with leading axes folded together, as one side of a product. */
  factor(v: Value): Factor {
    const width = sizeAt(v.shape, -1);
    const n = this.#perSample(v) / width;
    const rows = () => this.#once(`rows ${v.name}`, () => this.b.reshape(v, [this.batch.samples, n, width]));
    const gram = () => this.#once(`gram ${v.name}`, () => this.b.matMul(rows(), this.b.transpose(rows())));
    return { width, n, gramCost: n * n * width, rows, gram };
  }

  /** The one-hot rows of indices [views * S, ...]: their gram matrix says which indices are equal, and they need not be formed. */
  lookup(indices: Value, width: number): Factor {
    const { b } = this;
    const { samples } = this.batch;
    const n = this.#perSample(indices);
    const ids = b.cast(indices, "int64", dataTypes.int64.onnx);
    const across = () => b.reshape(ids, [samples, 1, n]);
    const down = () => b.reshape(ids, [samples, n, 1]);
    const same = (p: Value, q: Value, shape: readonly number[]) =>
      b.cast(b.op("Equal", [p, q], shape, {}, "bool"), "float32", dataTypes.float32.onnx);
    const rows = () => same(down(), b.ints([...Array(width).keys()], [1, 1, width]), [samples, n, width]);
    return { width, n, gramCost: n * n, rows, gram: () => same(down(), across(), [samples, n, n]) };
  }

  /** The gradient of a product, [S, left.width, right.width]. */
  direct({ left, right }: { left: Factor; right: Factor }): Value {
    return this.b.matMul(this.b.transpose(left.rows()), right.rows());
  }

  /** All uses of a parameter together: one product if each is one, and else its gradient. */
  of(uses: readonly Use[]): Contribution {
    const parts = uses.map((use) => operatorOf(use.primal.node)?.contribution?.(this, use) ?? { gradient: this.#summed(use) });
    const products = parts.filter((p) => "left" in p);
    if (products.length === parts.length) {
      const side = (name: "left" | "right") => this.#stacked(products.map((p) => p[name]));
      return { left: side("left"), right: side("right") };
    }
    return { gradient: parts.map((p) => ("left" in p ? this.direct(p) : p.gradient)).reduce(this.b.add) };
  }

  /** The rule's cotangent, summed over all that was broadcast but the samples: [S, ...shape of the parameter]. */
  #summed({ primal, inputIndex, dx }: Use): Value {
    const { samples } = this.batch;
    const parameter = primal.inputs[inputIndex] as Value;
    const missing = dx.shape.length - parameter.shape.length;
    const padded = [...Array<number>(missing).fill(1), ...parameter.shape];
    // What has an axis before that of the batch, as weights of experts have, is read by all of it.
    const at = padded[0] === 1 ? 0 : padded.findIndex((d, i) => d === 1 && sizeAt(dx.shape, i) > 1);
    const rows = dx.shape[at] ?? 1;
    if (at < 0 || (at > 0 && rows % (this.batch.views * samples) !== 0))
      throw new EspalierError("UNSUPPORTED_PARAMETER_USE", `node "${primal.node.name}" reads "${parameter.name}" outside the batch`, {
        node: primal.node.name,
        operator: operatorKey(primal.node),
        parameter: parameter.name,
      });
    if (at === 0) this.#perSample(dx);
    const split = this.b.reshape(dx, [...dx.shape.slice(0, at), samples, rows / samples, ...dx.shape.slice(at + 1)]);
    const axes = [...dx.shape.keys()].filter((i) => i === at || (padded[i] === 1 && dx.shape[i] !== 1)).map((i) => (i < at ? i : i + 1));
    const summed = this.b.reduceSum(split, axes);
    const turned = at === 0 ? summed : this.b.transpose(summed, [at, ...[...summed.shape.keys()].filter((i) => i !== at)]);
    return this.b.reshape(turned, [samples, ...parameter.shape]);
  }

  /** Elements per sample. */
  #perSample(v: Value): number {
    const { samples, views } = this.batch;
    if ((v.shape[0] ?? 1) % (views * samples) !== 0)
      throw new EspalierError(
        "UNSUPPORTED_LAYOUT",
        `"${v.name}" of shape [${v.shape}] does not lead with the batch of ${views * samples}`,
        {
          value: v.name,
        },
      );
    return sizeOf(v.shape) / samples;
  }

  #once(key: string, make: () => Value): Value {
    const value = this.#shared.get(key) ?? make();
    this.#shared.set(key, value);
    return value;
  }

  /** Concatenates rows of several uses, so that one parameter read several times is one product: exact, as G adds up. */
  #stacked(factors: readonly Factor[]): Factor {
    const { b } = this;
    const [first] = factors as readonly [Factor];
    if (factors.length === 1) return first;
    const n = factors.reduce((sum, f) => sum + f.n, 0);
    const rows = b.concat(
      factors.map((f) => f.rows()),
      1,
    );
    return { width: first.width, n, gramCost: n * n * first.width, rows: () => rows, gram: () => b.matMul(rows, b.transpose(rows)) };
  }
}
