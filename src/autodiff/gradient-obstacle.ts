import { EspalierError } from "../errors.ts";
import type { Graph } from "../onnx/ir.ts";
import { operators } from "../operators/operators.ts";
import { type UnsupportedOperator, unsupportedOperators } from "./unsupported-operators.ts";

const listed = ({ operator, nodes }: UnsupportedOperator): string =>
  `${operator} (${nodes.slice(0, 3).join(", ")}${nodes.length > 3 ? `, and ${nodes.length - 3} more` : ""})`;

/**
 * What keeps a model's gradients from being had, with all operators at fault and their nodes; null if nothing does.
 *
 * @returns an error QUANTISED_WEIGHTS or UNSUPPORTED_OPERATORS; the model may serve all the same
 */
export function gradientObstacle(graph: Graph, output: string): EspalierError<"QUANTISED_WEIGHTS" | "UNSUPPORTED_OPERATORS"> | null {
  const all = unsupportedOperators(graph, output);
  const steps = all.filter(({ operator }) => operators.get(operator)?.quantised);
  if (steps.length > 0)
    return new EspalierError(
      "QUANTISED_WEIGHTS",
      `the model's weights are quantised, and it can be served but not pruned: ${steps.map(listed).join("; ")}. To prune it, ` +
        "register the float32 or float16 export that the quantised model was made from, and quantise what is left",
      { operators: steps },
    );
  if (all.length === 0) return null;
  const [kind] = all.flatMap(({ operator }) => operators.get(operator)?.tells ?? []);
  return new EspalierError(
    "UNSUPPORTED_OPERATORS",
    `the model can be served but not pruned: ${kind ? `${kind}, and ` : ""}there is no rule for the gradients of ${all.map(listed).join("; ")}`,
    { operators: all },
  );
}
