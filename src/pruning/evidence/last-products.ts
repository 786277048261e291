import { type Product, productsOf } from "../../autodiff/products.ts";
import type { TypedGraph } from "../../onnx/ir.ts";
import { isDivided } from "../../structures/structure.ts";
import type { OpenGroup, Part } from "../open-groups.ts";

/** For each part of heads or channels, the product that takes what they give to the residual stream, by summing over them; null for other parts. */
export function lastProductsOf(typed: TypedGraph, groups: readonly OpenGroup[]): (part: Part) => Product | null {
  const products = productsOf(typed, [
    ...new Set(groups.filter((g) => isDivided(g) && !g.experts).flatMap((g) => g.parts.map((p) => p.parameter))),
  ]);
  return ({ parameter, axis }) => {
    const product = products.get(parameter);
    return product?.axis === axis ? product : null;
  };
}
