import { EspalierError } from "../errors.ts";
import type { Graph } from "../onnx/ir.ts";
import { quantised } from "./quantised.ts";
import { type UnsupportedOperator, unsupportedOperators } from "./unsupported-operators.ts";

const listed = ({ operator, nodes }: UnsupportedOperator): string =>
  `${operator} (${nodes.slice(0, 3).join(", ")}${nodes.length > 3 ? `, and ${nodes.length - 3} more` : ""})`;

/** What a model is that uses an operator of which no gradient is known, for who knows models rather than operators. */
const kinds: Readonly<Record<string, string>> = {
  TopK: "it is a mixture of experts, which sends each token to a few of them by TopK",
  "com.microsoft::MoE": "it is a mixture of experts",
  Conv: "it mixes tokens by convolutions",
  Scan: "it is recurrent, by a loop over its tokens",
  Loop: "it is recurrent, by a loop over its tokens",
  LSTM: "it is recurrent",
  GRU: "it is recurrent",
};

/**
 * What keeps a model's gradients from being had, with all operators at fault and their nodes; null if nothing does.
 *
 * @returns an error QUANTISED_WEIGHTS or UNSUPPORTED_OPERATORS; the model may serve all the same
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
  const [kind] = all.flatMap(({ operator }) => kinds[operator] ?? []);
  return new EspalierError(
    "UNSUPPORTED_OPERATORS",
    `the model can be served but not pruned: ${kind ? `${kind}, and ` : ""}there is no rule for the gradients of ${all.map(listed).join("; ")}`,
    { operators: all },
  );
}
