import assert from "node:assert/strict";
import { replaceUses } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model, Node } from "../../src/onnx/ir.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { openSession, type TensorValue } from "../../src/runtime/session.ts";
import { logitsOf as logitsOutput } from "../../src/signature/logits.ts";
import { anatomyOf, placesOf } from "../../src/structures/anatomy.ts";
import type { StructureId } from "../../src/structures/structure.ts";

/** The model with what the structures add multiplied by 0: removal without removing. */
export function masked(model: Model, ids: readonly StructureId[]): Model {
  const anatomy = anatomyOf(model);
  const outputs = new Set(placesOf(anatomy, ids).flatMap((p) => p.branches.map((b) => b.output)));
  const names = new Map([...outputs].map((o) => [o, `${o}/masked`]));
  const graph = replaceUses(anatomy.flow.graph, names);
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const output = node.outputs.find((o) => outputs.has(o));
    if (!output) return [node];
    return [
      node,
      {
        name: `${node.name}/mask`,
        opType: "Mul",
        domain: "",
        inputs: [output, "mask/zero"],
        outputs: [`${output}/masked`],
        attributes: {},
      },
    ];
  });
  return {
    ...model,
    graph: { ...graph, nodes, initializers: new Map([...graph.initializers, ["mask/zero", float32Tensor("mask/zero", [], [0])]]) },
  };
}

export async function logitsOf(model: Model, feeds: Record<string, TensorValue>): Promise<Float32Array> {
  const session = await openSession({ bytes: encode(model) }, { executionProvider: "CPU", threads: 1, lean: true });
  try {
    const { name } = logitsOutput(session.outputs);
    return (await session.run(feeds, [name]))[name]?.data as Float32Array;
  } finally {
    await session.close();
  }
}

/** To 1e-4 of the logits' scale. */
export function assertClose(a: Float32Array, b: Float32Array): void {
  const scale = b.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
  const worst = a.reduce((m, v, i) => Math.max(m, Math.abs(v - (b[i] as number))), 0);
  assert.equal(a.length, b.length);
  assert.ok(worst <= 1e-4 * scale, `logits differ by ${worst}, of a scale of ${scale}`);
}
