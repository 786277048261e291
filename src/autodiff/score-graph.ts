import { EspalierError } from "../errors.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { TypedGraph } from "../onnx/ir.ts";
import { backward } from "./backward.ts";
import { carriersOf } from "./carriers.ts";
import { squaredNorms } from "./ghost.ts";
import { signedCrossEntropy } from "./loss.ts";
import { lower } from "./lower.ts";

/** A graph that scores, and the names by which it is fed and read; the model's own inputs keep theirs. */
export interface ScoreGraph {
  readonly graph: TypedGraph;
  /** Input [2P, T] int64: the token that follows each position; any valid token where the weight is 0. */
  readonly targets: string;
  /** Input [2P, T] float32: `+1/n` on unperturbed views, `-1/n~` on perturbed ones, 0 on padding. */
  readonly weights: string;
  /** Output [W, P] float32: squared norm of the gradient of `L(s) - L(s~)` by each parameter, for each pair. */
  readonly squaredNorms: string;
  /** Output [2P] float32: loss of each view, nats per token. */
  readonly losses: string;
}

/**
 * Extends a forward graph to score: one run gives, for each pair of views, the loss of both and the squared norm of
 * `grad L(s) - grad L(s~) = grad (L(s) - L(s~))` by each parameter. No gradient of a weight leaves the graph.
 *
 * @param typed the forward graph at batch 2P, pair-major: `[s1, s~1, s2, s~2, ...]`
 * @param logits name of the value [2P, T, V]
 * @param parameters names of the weights wanted; a weight that the logits do not depend on scores 0
 * @throws EspalierError UNSUPPORTED_OPERATOR, UNSUPPORTED_LAYOUT, UNSUPPORTED_PARAMETER_USE
 */
export function buildScoreGraph(typed: TypedGraph, logits: string, parameters: readonly string[]): ScoreGraph {
  const forward = lower(typed);
  const b = new GraphBuilder(forward, "score");
  const z = b.value(logits);
  const [batch, tokens] = z.shape as [number, number, number];
  if (z.shape.length !== 3 || batch % 2 !== 0)
    throw new EspalierError("UNSUPPORTED_LAYOUT", `logits must be [2P, T, V], but "${logits}" is [${z.shape}]`, { value: logits });
  const pairs = batch / 2;
  const targets = b.input("score/targets", "int64", [batch, tokens]);
  const weights = b.input("score/weights", "float32", [batch, tokens]);

  const { losses, dLogits } = signedCrossEntropy(b, z, targets, weights);
  const wanted = carriersOf(forward.graph, parameters);
  const { uses } = backward(b, new Map([[logits, dLogits]]), wanted);
  const norms = squaredNorms(b, pairs, uses);

  // Rows are joined in the order the walk makes them, last layer first, so that each is reduced as soon as its
  // activations allow; one small Gather then puts them in the order asked for.
  const rows = [...norms].map(([name, norm]) => [name, b.reshape(norm, [1, pairs])] as const);
  const none = b.expand(b.scalar(0), [1, pairs]);
  const order = new Map(rows.map(([name], i) => [name, i]));
  const joined = b.concat([...rows.map(([, row]) => row), none], 0);
  const asked = b.gather(joined, b.ints(wanted.map((name) => order.get(name) ?? rows.length)), 0);
  const graph = b.build([losses, asked]);
  return { graph, targets: targets.name, weights: weights.name, squaredNorms: asked.name, losses: losses.name };
}
