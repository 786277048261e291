import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { buildScoreGraph } from "../../src/autodiff/score-graph.ts";
import { widen } from "../../src/autodiff/widen.ts";
import { decode } from "../../src/onnx/decode.ts";
import { type Attribute, dataTypes, type Model, type Tensor } from "../../src/onnx/ir.ts";
import { float32Of, float32Tensor } from "../../src/onnx/tensors.ts";
import { verify } from "../../src/onnx/verify.ts";
import { scoringBinding } from "../../src/pruning/binding.ts";
import { seededRandom } from "../../src/random.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { wholes } from "../support/norms.ts";
import { evaluate } from "./finite-differences.ts";

const model = decode(readFileSync(new URL("../../models/ahab/onnx/model.onnx", import.meta.url)));
const parameters = [...model.graph.initializers.values()].filter((t) => t.dataType === "float32" && t.dims.length > 0).map((t) => t.name);

const bits = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0] as number;
const fromBits = (b: number) => new Float32Array(Uint32Array.of(b).buffer)[0] as number;
interface Narrow {
  readonly code: number;
  readonly round: (x: number) => number;
  readonly pack: (x: number) => number;
}
/** Both cut the significand off; float16 has no infinities here, as exporters write its lowest number, and no subnormals. */
const narrow: Readonly<Record<"float16" | "bfloat16", Narrow>> = {
  bfloat16: { code: dataTypes.bfloat16.onnx, round: (x) => fromBits(bits(x) & 0xffff0000), pack: (x) => bits(x) >>> 16 },
  float16: {
    code: dataTypes.float16.onnx,
    round: (x) => (Math.abs(x) < 2 ** -14 ? 0 : fromBits(bits(Math.max(-65504, Math.min(65504, x))) & 0xffffe000)),
    pack: (x) => (x === 0 ? 0 : ((bits(x) >>> 16) & 0x8000) | (((bits(x) >>> 13) & 0x3ffff) - (112 << 10))),
  },
};

/** The model with every float32 number changed, and stored in another type where one is given. */
function rounded(type: keyof typeof narrow, stored: boolean): Model {
  const { code, round, pack } = narrow[type];
  const tensor = (t: Tensor): Tensor => {
    if (t.dataType !== "float32") return t;
    const values = float32Of(t).map(round);
    if (!stored) return { ...float32Tensor(t.name, t.dims, values) };
    return { ...t, dataType: type, data: { kind: "inline", bytes: new Uint8Array(Uint16Array.from(values, pack).buffer) } };
  };
  const attribute = (name: string, a: Attribute): Attribute => {
    if (a.kind === "tensor") return { ...a, value: tensor(a.value) };
    return stored && name === "to" && a.kind === "int" && a.value === 1n ? { ...a, value: BigInt(code) } : a;
  };
  const typed = <V extends { dataType: string }>(v: V): V => (stored && v.dataType === "float32" ? { ...v, dataType: type } : v);
  const { graph } = model;
  return {
    ...model,
    graph: {
      ...graph,
      inputs: graph.inputs.map(typed),
      outputs: graph.outputs.map(typed),
      valueInfo: [],
      initializers: new Map([...graph.initializers].map(([name, t]) => [name, tensor(t)])),
      nodes: graph.nodes.map((n) => ({
        ...n,
        attributes: Object.fromEntries(Object.entries(n.attributes).map(([k, a]) => [k, attribute(k, a)])),
      })),
    },
  };
}

async function scores(m: Model): Promise<[Float32Array, Float32Array]> {
  const [batch, tokens] = [2, 12];
  const typed = await specialise(m, scoringBinding(m, batch, tokens, parameters), ["logits"]);
  const score = buildScoreGraph(typed, "logits", wholes(parameters));
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
      const wide = widen(rounded(type, true));
      verify(wide);
      assert.equal(wide.graph.initializers.get(parameters[0] as string)?.dataType, type, "weights stay as they are stored");
      assert.ok([...wide.graph.inputs, ...wide.graph.outputs].every((v) => v.dataType !== type));
      const [actual, expected] = [await scores(wide), await scores(rounded(type, false))];
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
    assert.deepEqual(widen(model), model);
  });
});
