import { type Product, productsOf } from "../../autodiff/products.ts";
import { EspalierError } from "../../errors.ts";
import type { Subject } from "./method.ts";

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
