import * as attr from "../onnx/attributes.ts";
import { removeDead } from "../onnx/edit.ts";
import type { Attribute, DataType, Model, Node, Tensor } from "../onnx/ir.ts";
import { tensorOf } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import type { Packed } from "./codes.ts";
import type { Target } from "./targets.ts";

/** The domain of ONNX Runtime's own operators. */
const contrib = "com.microsoft";

/** What computes a product of codes: activations in 8 bits. At other levels codes are unpacked in each run, which takes up to thirty times as long. */
const accuracyLevel = 4;

/** A matrix as codes, and where it is read. */
export interface Coded {
  readonly target: Target;
  readonly packed: Packed;
}

/**
 * The graph whose products and tables of codes read these.
 *
 * @param model in float32, with what is not coded as it is
 */
export function withCodes(model: Model, coded: readonly Coded[]): Model {
  const { graph } = model;
  const initializers = new Map(graph.initializers);
  const instead = new Map<Node, readonly Node[]>();
  for (const { target, packed } of coded) {
    const { parameter, node, head } = target;
    const add = (suffix: string, dataType: DataType, dims: readonly number[], data: Uint8Array | Float32Array): string => {
      const name = `${parameter}/${suffix}`;
      initializers.set(name, tensorOf(name, { dataType, dims, data }));
      return name;
    };
    const { bits, blockSize, inputs, outputs, codes, scales, zeroPoints } = packed;
    const blocks = Math.ceil(inputs / blockSize);
    const zeroDims = [outputs, Math.ceil((blocks * bits) / 8)];
    const scaleName = add("scales", "float32", [outputs, blocks], scales);
    const zeroName = zeroPoints ? add("zero_points", "uint8", zeroDims, zeroPoints) : "";
    const product = (of: Node) => {
      const dims = [outputs, blocks, (blockSize * bits) / 8];
      return asProduct(of, packed, [add("codes", "uint8", dims, codes), scaleName, zeroName]);
    };
    if (target.axis === 1 && node.opType === "Gather") {
      // The same bytes as those of the head, in another shape: the file has them once.
      const table = `${parameter}/table`;
      const own = tensorOf(table, { dataType: "uint8", dims: [outputs, (blocks * blockSize * bits) / 8], data: codes });
      initializers.set(table, own);
      instead.set(node, [asTable(node, packed, [table, scaleName, zeroName])]);
      if (head) {
        instead.set(head, product(head));
        initializers.set(table, { ...own, data: (initializers.get(`${parameter}/codes`) as Tensor).data });
      }
    } else instead.set(node, product(node));
  }
  const nodes = graph.nodes.flatMap((n) => instead.get(n) ?? [n]);
  const opsets = { ...model.opsets, [contrib]: 1 };
  const result = { ...model, opsets, graph: removeDead({ ...graph, nodes, initializers }) };
  verify(result);
  return result;
}

type Operands = readonly [codes: string, scales: string, zeroPoints: string];

/** A product of codes in the place of a `MatMul` or `Gemm`, whose bias it adds. */
function asProduct(node: Node, { bits, blockSize, inputs, outputs }: Packed, operands: Operands): Node[] {
  const [x = "", , bias = ""] = node.inputs;
  const [output = ""] = node.outputs;
  const attributes: Record<string, Attribute> = {
    K: attr.int(inputs),
    N: attr.int(outputs),
    accuracy_level: attr.int(accuracyLevel),
    bits: attr.int(bits),
    block_size: attr.int(blockSize),
  };
  const alone = bias === "" ? output : `${output}/alone`;
  const product = {
    ...{ name: node.name, opType: "MatMulNBits", domain: contrib, attributes },
    inputs: trimmed([x, ...operands]),
    outputs: [alone],
  };
  if (bias === "") return [product];
  return [product, { name: `${node.name}/bias`, opType: "Add", domain: "", inputs: [alone, bias], outputs: [output], attributes: {} }];
}

function asTable(node: Node, { bits, blockSize }: Packed, [codes, scales, zeroPoints]: Operands): Node {
  const attributes: Record<string, Attribute> = {
    bits: attr.int(bits),
    block_size: attr.int(blockSize),
    gather_axis: attr.int(0),
    quantize_axis: attr.int(1),
  };
  const inputs = trimmed([codes, node.inputs[1] ?? "", scales, zeroPoints]);
  return { ...node, opType: "GatherBlockQuantized", domain: contrib, inputs, attributes };
}

const trimmed = (inputs: readonly string[]): string[] => inputs.slice(0, inputs.findLastIndex((name) => name !== "") + 1);
