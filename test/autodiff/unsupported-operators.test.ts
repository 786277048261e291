import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
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
