import { EspalierError } from "../errors.ts";
import { type Node, operatorKey } from "../onnx/ir.ts";

/** @throws EspalierError UNSUPPORTED_OPERATOR naming the node and its operator */
export function refuse(node: Node, why: string): never {
  throw new EspalierError("UNSUPPORTED_OPERATOR", `node "${node.name}": ${why}`, { operator: operatorKey(node), node: node.name });
}
