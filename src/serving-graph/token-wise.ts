import { type Node, operatorKey } from "../onnx/ir.ts";
import { elementwise } from "../operators/axis-rules.ts";
import { operatorOf, operators } from "../operators/operators.ts";
import type { Search } from "./layout.ts";
import { type TwoViews, unfit } from "./two-views.ts";

/** Whether a node's inputs meet element by element. */
export const isElementwise = (node: Node): boolean => operatorOf(node)?.axes === elementwise;

/** @throws EspalierError CANNOT_REWRITE if a node of the stream may mix tokens */
export function requireTokenWise({ stream, sizes }: TwoViews, { types }: Search, node: Node): void {
  const key = operatorKey(node);
  const operator = operators.get(key);
  // Tokens may meet in attention only: so a token's logits are the same to the bit in any company.
  const along = operator?.mixesAlong?.(node);
  const mixed = along === undefined ? undefined : sizes(node.inputs[0] as string)?.at(along);
  if (!operator?.tokenWise && typeof mixed !== "number") unfit(`${key} "${node.name}" is not known to compute each token by itself`);
  if (operator?.weights === "product" && stream.has(node.inputs[1] as string)) unfit(`${key} "${node.name}" multiplies tokens by tokens`);
  for (const output of node.outputs.filter((o) => stream.has(o) && types.has(o))) {
    const made = (sizes(output) ?? []).join();
    if (!made.includes("B") || !made.includes("T")) unfit(`${key} "${node.name}" makes one value of several tokens`);
  }
}
