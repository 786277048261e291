import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gradientObstacle } from "../../src/autodiff/gradient-obstacle.ts";
import { unsupportedOperators } from "../../src/autodiff/unsupported-operators.ts";
import { decode } from "../../src/onnx/decode.ts";
import type { Graph, Node } from "../../src/onnx/ir.ts";

const { graph } = decode(readFileSync(new URL("../../models/ahab/onnx/model.onnx", import.meta.url)));
const replaced = (change: (node: Node) => Node): Graph => ({ ...graph, nodes: graph.nodes.map(change) });

describe("unsupported operators", () => {
  it("are none in the bundled model", () => {
    assert.deepEqual(unsupportedOperators(graph, "logits"), []);
  });

  it("are listed with every node, in graph order, under their domain", () => {
    const found = unsupportedOperators(
      replaced((n) =>
        n.opType === "Sigmoid" ? { ...n, domain: "com.example" } : n.opType === "Softmax" ? { ...n, opType: "Hardmax" } : n,
      ),
      "logits",
    );
    const named = (opType: string) => graph.nodes.filter((n) => n.opType === opType).map((n) => n.name);
    assert.deepEqual(found, [
      { operator: "com.example::Sigmoid", nodes: named("Sigmoid") },
      { operator: "Hardmax", nodes: named("Softmax") },
    ]);
  });

  it("do not matter where no weight flows, nor behind other outputs", () => {
    const masks = replaced((n) => (n.opType === "ConstantOfShape" ? { ...n, opType: "SomeMask" } : n));
    assert.deepEqual(unsupportedOperators(masks, "logits"), []);
    const weight = graph.nodes.find((n) => n.opType === "MatMul" && graph.initializers.has(n.inputs[1] as string)) as Node;
    const aside: Node = { ...weight, name: "aside", opType: "Odd", outputs: ["elsewhere"] };
    assert.deepEqual(unsupportedOperators({ ...graph, nodes: [...graph.nodes, aside] }, "logits"), []);
    assert.deepEqual(unsupportedOperators({ ...graph, nodes: [...graph.nodes, aside] }, "elsewhere"), [
      { operator: "Odd", nodes: ["aside"] },
    ]);
  });
});

describe("what keeps gradients from being had", () => {
  const weight = graph.nodes.find((n) => n.opType === "MatMul" && graph.initializers.has(n.inputs[1] as string)) as Node;

  it("is nothing for the bundled model, nor for compound operators that are lowered", () => {
    assert.equal(gradientObstacle(graph, "logits"), null);
    const compound = replaced((n) => (n.opType === "MatMul" ? { ...n, opType: "FusedMatMul", domain: "com.microsoft" } : n));
    assert.equal(gradientObstacle(compound, "logits"), null);
  });

  it("is quantised weights, wherever there are any: the sentence says what to register instead", () => {
    const packed = replaced((n) =>
      n === weight ? { ...n, opType: "MatMulNBits", domain: "com.microsoft" } : n.opType === "Softmax" ? { ...n, opType: "Hardmax" } : n,
    );
    const obstacle = gradientObstacle(packed, "logits");
    assert.equal(obstacle?.code, "QUANTISED_WEIGHTS");
    assert.deepEqual(obstacle?.details["operators"], [{ operator: "com.microsoft::MatMulNBits", nodes: [weight.name] }]);
    assert.match(obstacle?.message ?? "", new RegExp(`MatMulNBits \\(${weight.name}\\).*float32 or float16 export`));
  });

  it("is every operator without a rule, with its nodes", () => {
    const obstacle = gradientObstacle(
      replaced((n) => (n === weight ? { ...n, opType: "Odd" } : n)),
      "logits",
    );
    assert.equal(obstacle?.code, "UNSUPPORTED_OPERATORS");
    assert.deepEqual(obstacle?.details["operators"], [{ operator: "Odd", nodes: [weight.name] }]);
  });
});
