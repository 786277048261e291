import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { GraphBuilder, type Value } from "../../src/onnx/builder.ts";
import { primalOf, titleOf } from "../support/finite-differences.ts";
import { missingKernel } from "../support/kernel-table.ts";
import { loweringRows } from "../support/lowering-rows.ts";

const { operators } = JSON.parse(readFileSync(new URL("../fixtures/cuda-kernels.json", import.meta.url), "utf8"));

describe("compound operators, lowered and differentiated", () => {
  for (const row of loweringRows)
    it(`${titleOf(row)}: every node has a CUDA kernel`, () => {
      const { b: primal, xs, y } = primalOf(row);
      const b = new GraphBuilder(lower(primal.build([y])), "gradient");
      const { uses } = backward(
        b,
        new Map([[y.name, b.input("dy", "float32", y.shape)]]),
        xs.map((x) => x.name),
      );
      const { graph, opsets, types } = b.build(xs.map((x) => gradientOf(b, x, uses.get(x.name)) as Value));
      const typesOf = (names: readonly string[]) => names.map((name) => (name === "" ? null : (types.get(name)?.dataType ?? null)));
      const missing = graph.nodes.flatMap(
        (n) => missingKernel(operators, n, opsets[n.domain] ?? 1, typesOf(n.inputs), typesOf(n.outputs)) ?? [],
      );
      assert.deepEqual(missing, []);
    });
});
