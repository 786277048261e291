import { EspalierError } from "../errors.ts";
import type { Graph } from "../onnx/ir.ts";
import { quantised } from "./quantised.ts";
import { type UnsupportedOperator, unsupportedOperators } from "./unsupported-operators.ts";

const listed = ({ operator, nodes }: UnsupportedOperator): string =>
  `${operator} (${nodes.slice(0, 3).join(", ")}${nodes.length > 3 ? `, and ${nodes.length - 3} more` : ""})`;

/**
 * What keeps a model's gradients from being had, with all operators at fault and their nodes; null if nothing does.
 *
 * @returns an error QUANTISED_WEIGHTS, after which the model still serves; or UNSUPPORTED_OPERATORS
 */
export function gradientObstacle(graph: Graph, output: string): EspalierError<"QUANTISED_WEIGHTS" | "UNSUPPORTED_OPERATORS"> | null {
  const all = unsupportedOperators(graph, output);
  const steps = all.filter(({ operator }) => quantised.has(operator));
  if (steps.length > 0)
    return new EspalierError(
      "QUANTISED_WEIGHTS",
      `the model's weights are quantised, and it can be served but not pruned: ${steps.map(listed).join("; ")}. To prune it, ` +
        "register the float32 or float16 export that the quantised model was made from, and quantise what is left",
      { operators: steps },
    );
  if (all.length === 0) return null;
  return new EspalierError(
    "UNSUPPORTED_OPERATORS",
    `the model's gradients cannot be had: there is no rule for ${all.map(listed).join("; ")}`,
    { operators: all },
  );
}
