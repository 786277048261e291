import * as attr from "../onnx/attributes.ts";
import { removeDead } from "../onnx/edit.ts";
import type { Attribute, DataType, Model, Node, Tensor } from "../onnx/ir.ts";
import type { PackedCodes } from "../onnx/packed-codes.ts";
import { tensorOf } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import type { Target } from "./targets.ts";

/** The domain of ONNX Runtime's own operators. */
const contrib = "com.microsoft";

/** What computes a product of codes: activations in 8 bits. At other levels codes are unpacked in each run, which takes up to thirty times as long. */
const accuracyLevel = 4;

/** A matrix as codes, and where it is read. */
export interface Coded {
  readonly target: Target;
  readonly packed: PackedCodes;
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
    if (node.opType === "Gather") {
      if (head) instead.set(head, product(head));
      const rows = unfilled(packed);
      const table = add("table", "uint8", [outputs, (inputs * bits) / 8], rows);
      // The same bytes as those of the head: the file has them once.
      const own = initializers.get(`${parameter}/codes`);
      if (own && rows === codes) initializers.set(table, { ...(initializers.get(table) as Tensor), data: own.data });
      instead.set(node, [asTable(node, packed, [table, scaleName, zeroName])]);
    } else instead.set(node, product(node));
  }
  const nodes = graph.nodes.flatMap((n) => instead.get(n) ?? [n]);
  const opsets = { ...model.opsets, [contrib]: 1 };
  const result = { ...model, opsets, graph: removeDead({ ...graph, nodes, initializers }) };
  verify(result);
  return result;
}

/** Codes by row without what the last block is filled up with: a table has as many columns as it says. */
function unfilled({ bits, blockSize, inputs, outputs, codes }: PackedCodes): Uint8Array {
  if (inputs % blockSize === 0) return codes;
  const width = codes.length / outputs;
  const kept = (inputs * bits) / 8;
  const rows = new Uint8Array(outputs * kept);
  for (let j = 0; j < outputs; j++) rows.set(codes.subarray(j * width, j * width + kept), j * kept);
  return rows;
}

type Operands = readonly [codes: string, scales: string, zeroPoints: string];

/** A product of codes in the place of a `MatMul` or `Gemm`, whose bias it adds. */
function asProduct(node: Node, { bits, blockSize, inputs, outputs }: PackedCodes, operands: Operands): Node[] {
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

function asTable(node: Node, { bits, blockSize }: PackedCodes, [codes, scales, zeroPoints]: Operands): Node {
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
