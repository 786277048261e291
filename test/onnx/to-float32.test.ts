import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { buildScoreGraph } from "../../src/autodiff/score-graph.ts";
import { decode } from "../../src/onnx/decode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { toFloat32 } from "../../src/onnx/to-float32.ts";
import { verify } from "../../src/onnx/verify.ts";
import { seededRandom } from "../../src/random.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { evaluate } from "../support/finite-differences.ts";
import { rounded } from "../support/half-precision.ts";
import { wholes } from "../support/norms.ts";

const model = decode(readFileSync(new URL("../../models/ahab/onnx/model.onnx", import.meta.url)));
const parameters = [...model.graph.initializers.values()].filter((t) => t.dataType === "float32" && t.dims.length > 0).map((t) => t.name);

async function scores(m: Model): Promise<[Float32Array, Float32Array]> {
  const [batch, tokens] = [2, 12];
  const typed = await specialise(m, bindingOf(m, batch, tokens, parameters), ["logits"]);
  const score = buildScoreGraph(typed, "logits", wholes(parameters), squaredNorms, 2);
  const random = seededRandom(22);
  const ids = (): TensorValue => ({
    dataType: "int64",
    dims: [batch, tokens],
    data: BigInt64Array.from({ length: batch * tokens }, () => BigInt(Math.floor(random() * 500))),
  });
  const weights: TensorValue = {
    dataType: "float32",
    dims: [batch, tokens],
    data: Float32Array.from({ length: batch * tokens }, (_, i) => (i < tokens ? 1 : -1) / tokens),
  };
  return (await evaluate(score.graph, { input_ids: ids(), [score.targets]: ids(), [score.weights]: weights })) as [
    Float32Array,
    Float32Array,
  ];
}

describe("models of narrow floats", () => {
  for (const type of ["float16", "bfloat16"] as const)
    it(`score in float32: ahab in ${type} as its float32 twin of the same weights`, async () => {
      const wide = toFloat32(rounded(model, type, true));
      verify(wide);
      assert.equal(wide.graph.initializers.get(parameters[0] as string)?.dataType, type, "weights stay as they are stored");
      assert.ok([...wide.graph.inputs, ...wide.graph.outputs].every((v) => v.dataType !== type));
      const [actual, expected] = [await scores(wide), await scores(rounded(model, type, false))];
      // The last column answers no request.
      for (const [i, values] of expected.entries())
        values.forEach((e, j) => {
          if (i === 1 && j === values.length - 1) return;
          const error = Math.abs(e - (actual[i]?.[j] as number)) / e;
          assert.ok(error < 1e-5, `output ${i}, element ${j}: off by ${error}`);
        });
      assert.notDeepEqual(await scores(model), expected, "rounding the weights is not for nothing");
    });

  it("are wide already if they are float32", () => {
    assert.deepEqual(toFloat32(model), model);
  });
});
