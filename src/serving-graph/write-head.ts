import * as attr from "../onnx/attributes.ts";
import { type Node, sizeAt } from "../onnx/ir.ts";
import { ports } from "./ports.ts";
import { isElementwise } from "./token-wise.ts";
import { unfit } from "./two-views.ts";
import type { Rewriting } from "./write-attention.ts";

export interface Head {
  /** What the head reads, of the tokens asked for: [R, H]. */
  readonly hidden: string;
  /** [R, V]. */
  readonly logits: string;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
}

/** Makes the head read only the tokens that are asked for. */
export function writeHead({ views, search, writer }: Rewriting): Head {
  const made = new Map(writer.nodes.flatMap((n) => n.outputs.map((o) => [o, n] as const)));
  const isMatrix = (name: string) =>
    !views.stream.has(name) && !made.get(name)?.name.startsWith("serving/") && (search.types.get(name)?.shape.length ?? 0) >= 2;
  let value = writer.now(views.logits);
  const last = value;
  const after: Node[] = [];
  for (let node = made.get(value); node; node = made.get(value)) {
    const [x = "", w = ""] = node.inputs;
    if (["MatMul", "Gemm", "MatMulNBits"].includes(node.opType) && isMatrix(w)) {
      const from = search.types.get(writer.before(x))?.shape ?? unfit("the head reads what is not understood");
      const hiddenSize = sizeAt(from, -1);
      const flat = from.length === 2 ? x : writer.op("Reshape", [x, writer.ints([-1, hiddenSize])]);
      const hidden = writer.op("Gather", [flat, ports.rows], { axis: attr.int(0) });
      const names = new Map([[x, hidden]]);
      // What comes after the head: the same on [R, V].
      for (const later of [node, ...after.reverse()]) {
        writer.nodes.splice(writer.nodes.indexOf(later), 1);
        const inputs = later.inputs.map((i) => names.get(i) ?? i);
        if (later.opType === "Reshape") names.set(later.outputs[0] as string, inputs[0] as string);
        else writer.add({ ...later, inputs });
      }
      const logits = names.get(last) ?? last;
      return { hidden, logits, hiddenSize, vocabularySize: sizeAt(search.types.get(views.logits)?.shape ?? [], -1) };
    }
    if (!isElementwise(node) && node.opType !== "Reshape") break;
    after.push(node);
    value = node.inputs.find((i) => made.has(i) && (views.stream.has(i) || i.startsWith("serving/"))) ?? "";
  }
  return unfit("no head is found before the logits");
}
