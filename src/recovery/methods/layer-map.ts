import { storedProducts } from "../../autodiff/products.ts";
import { producers } from "../../onnx/edit.ts";
import { type Model, sizeAt, type Tensor } from "../../onnx/ir.ts";
import type { Joint } from "../trunk.ts";
import type { Beside, ClosedForm, Fit, Pair } from "./method.ts";
import { bare } from "./rows.ts";

/** Where layers are gone, and the matrix before them that a map can be multiplied into. */
interface Gap {
  readonly joint: Joint;
  readonly parameter: string;
}

function gapsOf({ own, whole, joints }: Beside): Gap[] {
  const products = storedProducts(own, [...whole.parameters.keys()]);
  const byNode = new Map([...products].map(([parameter, { node }]) => [node.outputs[0] as string, parameter]));
  return joints.flatMap((joint) => {
    // What the next branch reads is the sum itself, so that a map of a term is one of what is read.
    const branches = joint.isGap ? joint.branches.filter((b) => b.sum === joint.own) : [];
    const found = branches.flatMap((b) => {
      const parameter = lastMatrix(own, b.output, byNode);
      return parameter === null ? [] : [{ joint, parameter, isMlp: b.kind === "MLP" }];
    });
    const best = found.find((f) => f.isMlp) ?? found.at(-1);
    return best ? [best] : [];
  });
}

/** What a linear map can be moved through: a bias, and another shape of the same elements. */
const passedThrough: ReadonlySet<string> = new Set(["Add", "Identity", "Reshape"]);

/** The matrix whose product a branch gives, with nothing after it but these; null if something else comes after. */
function lastMatrix({ graph }: Model, output: string, byNode: ReadonlyMap<string, string>): string | null {
  const made = producers(graph);
  for (let name = output; ; ) {
    const parameter = byNode.get(name);
    if (parameter !== undefined) return parameter;
    const node = made.get(name);
    const inputs = node?.opType === "Reshape" ? node.inputs.slice(0, 1) : (node?.inputs ?? []);
    const varying = inputs.filter((i) => !graph.initializers.has(i));
    const [from] = varying;
    if (!node || from === undefined || varying.length > 1 || !passedThrough.has(node.opType)) return null;
    name = from;
  }
}

/**
 * Layers that are gone are stood in for by a linear map (ReplaceMe, Shopkhoev et al. 2025, arXiv 2505.02819): with M what the last branch before the
 * gap gives, S the trunk there and L the teacher's trunk after the gap, T is the least squares of `M T + S - M` against L, drawn to 1. It is multiplied into the
 * branch's last matrix. Gaps are closed from the tokens on, each with the former ones closed.
 */
export const layerMap: ClosedForm = {
  name: "LAYER_MAP",
  description: "Solves for a linear map in the place of layers that are gone, and multiplies it into the matrix before them. No training.",
  learningRate: null,
  asksFor: "layers, attentions or MLPs of it are gone, and the branch before them ends in a plain product",
  parameters: (models) => gapsOf(models).map((g) => g.parameter),
  leastInputs: ({ hiddenSize }) => hiddenSize,
  rounds(pair: Pair) {
    return gapsOf(pair).flatMap(({ joint, parameter }): Fit[][] => {
      const product = pair.products.get(parameter);
      if (!product) return [];
      const width = sizeAt((pair.own.graph.initializers.get(parameter) as Tensor).dims, 1 - product.axis);
      const fit: Fit = {
        ...{ parameter, axis: product.axis, solvesFor: "MAP", rows: width, columns: width },
        values: (b) => ({ given: bare(b, product.node), missing: b.sub(b.value(pair.itsName(joint.its)), b.value(joint.own)) }),
      };
      return [[fit]];
    });
  },
};
