import { type Product, productsOf } from "../../autodiff/products.ts";
import { EspalierError } from "../../errors.ts";
import * as attr from "../../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import { sizeAt, type Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { Adapter } from "../beside-codes.ts";
import type { Prepared, Subject, Trained } from "./method.ts";
import { spliced } from "./splice.ts";

/** What is put beside a product `Y = X W`, and added to W in the end. */
export interface AdapterForm {
  /** The tensors of one adapter. */
  trained(name: (part: string) => string, inputs: number, outputs: number): readonly Trained[];
  /** `y + scale f(x)`, f being given by the trained tensors. */
  added(b: GraphBuilder, y: Value, x: Value, trained: readonly Value[], scale: number): Value;
  /** `W + s f`, W as it is stored, with its inputs along an axis. */
  merged(w: Float32Array, dims: readonly number[], axis: number, trained: readonly Float32Array[], s: number): Float32Array;
  /** `s f` as two products, where it is that. */
  apart?(trained: readonly Float32Array[], s: number): Omit<Adapter, "parameter">;
}

/**
 * Puts an adapter beside each product that is to be adapted; it counts `alpha / rank` times.
 *
 * @param prefix of the names of what is trained
 * @throws EspalierError NOTHING_TO_TRAIN if there is no such product
 */
export function adapted(subject: Subject, prefix: string, form: AdapterForm): Prepared {
  const { apart } = form;
  const s = subject.options.alpha / subject.options.rank;
  const adapters: { readonly parameter: Tensor; readonly axis: number; readonly trained: readonly Trained[] }[] = [];
  const forward = spliced(subject.forward, (b, instead) => {
    const now = (name: string): Value => instead.get(name) ?? b.value(name);
    for (const { parameter: name, product } of adaptedProducts(subject)) {
      const parameter = subject.initializers.get(name) as Tensor;
      const { axis, node } = product;
      const [y = ""] = node.outputs;
      const place = adapters.length;
      const trained = form.trained((part) => `${prefix}/${place}/${part}`, sizeAt(parameter.dims, axis), sizeAt(parameter.dims, 1 - axis));
      const inputs = trained.map((t) => b.input(t.name, "float32", t.shape));
      instead.set(y, form.added(b, now(y), now(product.input), inputs, s * attr.floatOf(node, "alpha", 1)));
      adapters.push({ parameter, axis, trained });
    }
  });
  return {
    forward,
    trained: adapters.flatMap((a) => a.trained),
    *merged(values) {
      for (const { parameter, axis, trained } of adapters) {
        const w = floatsOf(parameter, subject.read(parameter));
        const own = trained.map((t) => values(t.name));
        yield [parameter.name, form.merged(w, parameter.dims, axis, own, s)];
      }
    },
    ...(apart && {
      *adapters(values) {
        for (const { parameter, trained } of adapters)
          yield {
            parameter: parameter.name,
            ...apart(
              trained.map((t) => values(t.name)),
              s,
            ),
          };
      },
    }),
  };
}

/**
 * The products of the branches that are to be adapted, in the order of the graph.
 *
 * @throws EspalierError NOTHING_TO_TRAIN if there are none
 */
export function adaptedProducts({ forward, whole, options }: Subject): { readonly parameter: string; readonly product: Product }[] {
  const branches: readonly string[] = options.adapt;
  const wanted = new Set(whole.structures.filter(({ kind }) => branches.includes(kind)).flatMap((s) => s.parameters));
  const places = new Map(forward.graph.nodes.map((node, i) => [node, i]));
  const found = [...productsOf(forward, [...wanted])].map(([parameter, product]) => ({ parameter, product }));
  if (found.length === 0)
    throw new EspalierError(
      "NOTHING_TO_TRAIN",
      "no plain product of the branches to adapt reads a matrix of the model: train NORMS or FULL",
    );
  return found.sort((x, y) => (places.get(x.product.node) ?? 0) - (places.get(y.product.node) ?? 0));
}
