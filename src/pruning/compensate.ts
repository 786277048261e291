import { storedProducts } from "../autodiff/products.ts";
import { EspalierError } from "../errors.ts";
import * as attr from "../onnx/attributes.ts";
import { dataTypes, type Model, type Node, sizeAt, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { float32Tensor, floatsOf } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import { entriesOf } from "../structures/divide.ts";
import { ownersOf } from "../structures/entries.ts";
import { isDivided, type StructureId } from "../structures/structure.ts";
import type { InputMoments } from "./evidence/activity.ts";
import { alongAxis } from "./evidence/weights.ts";
import type { Whole } from "./open-groups.ts";

/**
 * Adds to a model what removed heads and channels gave on the average: after each product that read them, the bias
 * `sum over the removed input channels a of W_a: mean(x_a)` (FLAP, arXiv 2312.11983).
 *
 * @param base the model before anything was removed, and its moments by parameter
 * @param pruned the base without `removed`
 * @throws EspalierError CANNOT_COMPENSATE if a weight is read by something else than a plain product
 */
export function compensated(
  base: Model,
  { divided }: Whole,
  moments: ReadonlyMap<string, InputMoments>,
  removed: readonly StructureId[],
  pruned: Model,
  read: TensorReader,
): Model {
  const biases = new Map<string, Float32Array>();
  for (const [{ leaf, slices }, entries] of entriesOf(divided?.groups ?? [], removed.filter(isDivided)))
    for (const { parameter, axis, of } of slices) {
      const found = moments.get(parameter);
      const tensor = base.graph.initializers.get(parameter);
      if (found?.axis !== axis || !tensor || !pruned.graph.initializers.has(parameter)) continue;
      const owners = ownersOf(of, leaf, new Map());
      const bias = biases.get(parameter) ?? new Float32Array(sizeAt(tensor.dims, 1 - axis));
      const values = floatsOf(tensor, read(tensor));
      let i = 0;
      alongAxis(tensor, axis, values, (w, channel) => {
        const out = outputOf(tensor, axis, i++);
        if (entries.has(owners[channel] as number)) bias[out] = (bias[out] as number) + w * (found.mean[channel] as number);
      });
      biases.set(parameter, bias);
    }
  return biases.size === 0 ? pruned : withBiases(pruned, biases);
}

/** Of the i-th element of a matrix, its position along the other axis than the one summed over. */
const outputOf = ({ dims }: Tensor, axis: number, i: number): number => {
  const columns = sizeAt(dims, 1);
  return axis === 0 ? i % columns : Math.floor(i / columns);
};

function withBiases(model: Model, biases: ReadonlyMap<string, Float32Array>): Model {
  const { graph } = model;
  const products = storedProducts(model, [...biases.keys()]);
  const initializers = new Map(graph.initializers);
  const added = new Map<Node, Node[]>();
  for (const [parameter, bias] of biases) {
    const node = products.get(parameter)?.node;
    if (!node)
      throw new EspalierError("CANNOT_COMPENSATE", `nothing can be added to what "${parameter}" gives: no plain product reads it`, {
        parameter,
      });
    const name = `${parameter}/compensation`;
    const [output = ""] = node.outputs;
    const { dataType } = graph.initializers.get(parameter) as Tensor;
    initializers.set(name, float32Tensor(name, [bias.length], bias));
    const cast: Node = {
      ...{ name: `${name}/Cast`, opType: "Cast", domain: "", inputs: [name], outputs: [`${name}/${dataType}`] },
      attributes: { to: attr.int(dataTypes[dataType].onnx) },
    };
    const own = dataType === "float32" ? name : `${name}/${dataType}`;
    const sum: Node = {
      name: `${name}/Add`,
      opType: "Add",
      domain: "",
      inputs: [`${output}/alone`, own],
      outputs: [output],
      attributes: {},
    };
    added.set(node, [{ ...node, outputs: [`${output}/alone`] }, ...(dataType === "float32" ? [] : [cast]), sum]);
  }
  const result = { ...model, graph: { ...graph, initializers, nodes: graph.nodes.flatMap((n) => added.get(n) ?? [n]) } };
  verify(result);
  return result;
}
