import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import * as pb from "onnx-buf";
import { decode } from "../../src/onnx/decode.ts";
import { dense } from "../../src/onnx/dense.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { canonical } from "../../src/onnx/passes/canonical.ts";
import { float32Of, float32Tensor, int64Tensor } from "../../src/onnx/tensors.ts";
import { openSession } from "../../src/runtime/session.ts";

const node = (opType: string, input: string[], output: string[], domain = "", attribute: pb.AttributeProto[] = []) =>
  create(pb.NodeProtoSchema, { opType, input, output, domain, attribute });
const call = (name: string, input: string[], output: string[], attribute: pb.AttributeProto[] = []) =>
  node(name, input, output, "local", attribute);
const T = pb.AttributeProto_AttributeType;
const float = (name: string, f: number) => create(pb.AttributeProtoSchema, { name, type: T.FLOAT, f });
const reference = (name: string, refAttrName: string) => create(pb.AttributeProtoSchema, { name, type: T.FLOAT, refAttrName });
const opset = (domain: string, version: number) => create(pb.OperatorSetIdProtoSchema, { domain, version: BigInt(version) });

type Parts = Partial<Pick<pb.FunctionProto, "attribute" | "attributeProto" | "output" | "opsetImport">>;
const define = (name: string, nodes: pb.NodeProto[], parts: Parts = {}) =>
  create(pb.FunctionProtoSchema, {
    name,
    domain: "local",
    input: ["a"],
    output: ["b"],
    node: nodes,
    opsetImport: [opset("", 17), opset("local", 1)],
    ...parts,
  });

/** [x] -> [y], of three floats. */
function fileOf(nodes: pb.NodeProto[], functions: pb.FunctionProto[]): Uint8Array {
  const dim = create(pb.TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: 3n } });
  const value = (name: string) =>
    create(pb.ValueInfoProtoSchema, {
      name,
      type: { value: { case: "tensorType", value: { elemType: 1, shape: { dim: [dim] } } } },
    });
  const graph = create(pb.GraphProtoSchema, { name: "g", input: [value("x")], output: [value("y")], node: nodes });
  return toBinary(
    pb.ModelProtoSchema,
    create(pb.ModelProtoSchema, { irVersion: 8n, opsetImport: [opset("", 17), opset("local", 1)], graph, functions }),
  );
}

async function run(bytes: Uint8Array): Promise<number[]> {
  const session = await openSession({ bytes }, { executionProvider: "CPU", threads: 1 });
  try {
    const out = await session.run({ x: { dataType: "float32", dims: [3], data: Float32Array.of(-1, 0.5, 2) } });
    return Array.from(out["y"]?.data as Float32Array);
  } finally {
    await session.close();
  }
}

const operators = ({ graph }: Model) => graph.nodes.map((n) => n.opType);

describe("local functions", () => {
  const leaky = define("Leaky", [node("LeakyRelu", ["a"], ["b"], "", [reference("alpha", "slope")])], {
    attribute: ["slope"],
  });
  const cases: Readonly<Record<string, readonly [nodes: pb.NodeProto[], functions: pb.FunctionProto[], expected: string[]]>> = {
    "with an attribute of the caller's": [[call("Leaky", ["x"], ["y"], [float("slope", 0.5)])], [leaky], ["LeakyRelu"]],
    "without it, where the operator has a default": [[call("Leaky", ["x"], ["y"])], [leaky], ["LeakyRelu"]],
    "with a default of its own": [
      [call("Leaky", ["x"], ["y"])],
      [define("Leaky", leaky.node, { attributeProto: [float("slope", 0.25)] })],
      ["LeakyRelu"],
    ],
    "called twice, with names of its own that the graph has too": [
      [call("Twice", ["x"], ["t"]), call("Twice", ["t"], ["y"])],
      [define("Twice", [node("Add", ["a", "a"], ["t"]), node("Neg", ["t"], ["b"])])],
      ["Add", "Neg", "Add", "Neg"],
    ],
    "that call others": [
      [call("Outer", ["x"], ["y"])],
      [
        define("Outer", [call("Inner", ["a"], ["t"]), call("Inner", ["t"], ["b"])]),
        define("Inner", [node("Exp", ["a"], ["e"]), node("Neg", ["e"], ["b"])]),
      ],
      ["Exp", "Neg", "Exp", "Neg"],
    ],
    "that give an input back": [[call("Same", ["x"], ["y"])], [define("Same", [], { output: ["a"] })], ["Identity"]],
  };
  for (const [name, [nodes, functions, expected]] of Object.entries(cases))
    it(`are inlined ${name}: it computes what ONNX Runtime makes of the functions`, async () => {
      const file = fileOf(nodes, functions);
      const model = decode(file);
      assert.deepEqual(operators(model), expected);
      assert.deepEqual(model.opsets, { "": 17 });
      // A function that gives an input back is one that ONNX Runtime takes for an empty graph.
      const right = expected[0] === "Identity" ? [-1, 0.5, 2] : await run(file);
      assert.deepEqual(await run(encode(canonical(model).model)), right);
    });

  const doubling = Array.from({ length: 40 }, (_, i) =>
    define(`F${i}`, [call(`F${i + 1}`, ["a"], ["t"]), call(`F${i + 1}`, ["t"], ["b"])]),
  );
  const refusals: Readonly<Record<string, readonly [functions: pb.FunctionProto[], says: RegExp]>> = {
    "that calls itself": [[define("F0", [call("F0", ["a"], ["b"])])], /"F0" calls itself/],
    "that calls itself by another": [
      [define("F0", [call("F1", ["a"], ["b"])]), define("F1", [call("F0", ["a"], ["b"])])],
      /"F0" calls itself/,
    ],
    "that doubles forty times": [[...doubling, define("F40", [node("Neg", ["a"], ["b"])])], /become more than 200000 nodes/],
    "of another operator set": [
      [define("F0", [node("Neg", ["a"], ["b"])], { opsetImport: [opset("", 13)] })],
      /version 13 of the operator set "ai.onnx", the model of 17/,
    ],
    "of which there are two": [
      [define("F0", [node("Neg", ["a"], ["b"])]), define("F0", [node("Exp", ["a"], ["b"])])],
      /a second function "F0"/,
    ],
  };
  for (const [name, [functions, says]] of Object.entries(refusals))
    it(`are refused: one ${name}`, () => {
      assert.throws(
        () => decode(fileOf([call("F0", ["x"], ["y"])], functions)),
        (error: Error & { code: string }) => {
          assert.equal(error.code, "INVALID_ONNX");
          assert.match(error.message, says);
          return true;
        },
      );
    });

  it("leave no attribute that refers to a caller there is not", () => {
    const file = fileOf([node("LeakyRelu", ["x"], ["y"], "", [reference("alpha", "slope")])], []);
    assert.throws(() => decode(file), { code: "INVALID_ONNX", message: /refers to one of a caller/ });
  });
});

describe("sparse tensors", () => {
  const values = float32Tensor("s", [2], [5, 7]);
  it("are written out, by places counted through all or along each axis", () => {
    const expected = [0, 5, 0, 0, 0, 7];
    assert.deepEqual([...float32Of(dense(values, int64Tensor("i", [2], [1, 5]), [2, 3]))], expected);
    assert.deepEqual([...float32Of(dense(values, int64Tensor("i", [2, 2], [0, 1, 1, 2]), [2, 3]))], expected);
  });
  it("are refused where indices do not fit, or the whole is too much", () => {
    const cases: readonly (readonly [number[], number[], number[], RegExp])[] = [
      [[2], [1, 6], [2, 3], /an element at 6/],
      [[2], [1, -1], [2, 3], /an element at -1/],
      [[1], [1], [2, 3], /2 elements and 1 indices/],
      [[2], [1, 5], [2 ** 20, 2 ** 20], /would take/],
    ];
    for (const [dims, places, shape, says] of cases)
      assert.throws(() => dense(values, int64Tensor("i", dims, places), shape), { code: "INVALID_ONNX", message: says });
  });
});
