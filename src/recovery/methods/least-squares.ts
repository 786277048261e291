import { largest } from "../../large-lists.ts";
import { sizeAt } from "../../onnx/ir.ts";
import { lastProducts } from "../last-products.ts";
import type { Beside, ClosedForm, Fit, Pair, Recorded } from "./method.ts";
import { scaled } from "./rows.ts";

/** The products of which heads or channels are gone: they sum over fewer than their teacher's do, and give as much. */
function cut({ own, its, whole }: Beside) {
  return lastProducts(own, whole.divided?.groups ?? []).filter(({ parameter, tensor, axis }) => {
    const there = its.graph.initializers.get(parameter)?.dims;
    return there?.length === 2 && sizeAt(there, axis) > sizeAt(tensor.dims, axis) && there[1 - axis] === tensor.dims[1 - axis];
  });
}

/** How many channels go with each weight of an MLP. */
function channelsBesideWeights({ structures }: Recorded): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { kind, parameters, count } of structures)
    if (kind === "CHANNEL") for (const name of parameters) counts.set(name, Math.max(count, counts.get(name) ?? 0));
  return counts;
}

/**
 * For each product that summed over heads or channels that are gone, the weights by which it gives best what the teacher's gives. Where the inputs that
 * stay are the teacher's, that is `W_S' = (G_SS + l I)^-1 (G_S: W + l W_S)`, as after pruning (src/recovery/least-squares.ts).
 */
export const leastSquares: ClosedForm = {
  name: "LEAST_SQUARES",
  description:
    "Solves for the weights of products that heads and channels were cut from, so that they give what the teacher's give. No training.",
  divides: true,
  learningRate: null,
  asksFor: "heads or channels of it are gone, and a plain product summed over them",
  parameters: (models) => cut(models).map((p) => p.parameter),
  leastInputs(own, its) {
    const [here, there] = [channelsBesideWeights(own), channelsBesideWeights(its)];
    return largest([0, ...[...here].map(([name, count]) => (count < (there.get(name) ?? 0) ? count : 0))]);
  },
  rounds(pair: Pair) {
    const { products, itsProducts, itsName } = pair;
    const fits = cut(pair).flatMap(({ parameter, tensor: { dims } }): Fit[] => {
      const [own, its] = [products.get(parameter), itsProducts.get(parameter)];
      if (!own || !its) return [];
      return [
        {
          ...{ parameter, axis: own.axis, solvesFor: "CHANGE" },
          ...{ rows: sizeAt(dims, own.axis), columns: sizeAt(dims, 1 - own.axis) },
          values: (b) => ({
            given: scaled(b, b.value(own.input), own.node),
            missing: b.sub(b.value(itsName(its.node.outputs[0] as string)), b.value(own.node.outputs[0] as string)),
          }),
        },
      ];
    });
    return fits.length === 0 ? [] : [fits];
  },
};
