import { EspalierError } from "../errors.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import type { TypedGraph } from "../onnx/ir.ts";
import { backward } from "./backward.ts";
import { carriersOf } from "./carriers.ts";
import { type NormRequest, squaredNorms } from "./ghost.ts";
import { signedCrossEntropy } from "./loss.ts";
import { lower } from "./lower.ts";

/** A graph that scores, and the names by which it is fed and read; the model's own inputs keep theirs. */
export interface ScoreGraph {
  readonly graph: TypedGraph;
  /** Input [2P, T] int64: the token that follows each position; any valid token where the weight is 0. */
  readonly targets: string;
  /** Input [2P, T] float32: `+1/n` on unperturbed views, `-1/n~` on perturbed ones, 0 on padding. */
  readonly weights: string;
  /** Output [P, N] float32: for each pair, the squared norms of the gradient of `L(s) - L(s~)`, those of each request side by side. */
  readonly squaredNorms: string;
  /** For each request, the columns of `squaredNorms` that answer it: none if the logits do not depend on its parameter. */
  readonly columns: readonly { readonly start: number; readonly length: number }[];
  /** Output [2P] float32: loss of each view, nats per token. */
  readonly losses: string;
}

/**
 * Extends a forward graph to score: one run gives, for each pair of views, the loss of both and the squared norms of
 * `grad L(s) - grad L(s~) = grad (L(s) - L(s~))` by whole parameters or slices of them. No gradient of a weight leaves the graph.
 *
 * @param typed the forward graph at batch 2P, pair-major: `[s1, s~1, s2, s~2, ...]`
 * @param logits name of the value [2P, T, V]
 * @throws EspalierError UNSUPPORTED_OPERATOR, UNSUPPORTED_LAYOUT, UNSUPPORTED_PARAMETER_USE
 */
export function buildScoreGraph(typed: TypedGraph, logits: string, requests: readonly NormRequest[]): ScoreGraph {
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
  const carriers = carriersOf(forward, requests);
  const wanted = [...new Set(carriers.map((c) => c.parameter))];
  const { uses } = backward(b, new Map([[logits, dLogits]]), wanted);

  // Norms are made and joined in the order the walk meets their parameters, last layer first, so that each is reduced as
  // soon as its activations allow.
  const met = new Map([...uses.keys()].map((name, i) => [name, i]));
  const inOrder = carriers
    .map((carrier, request) => ({ carrier, request, place: met.get(carrier.parameter) ?? -1 }))
    .filter(({ place }) => place >= 0)
    .sort((x, y) => x.place - y.place);
  const norms = squaredNorms(
    b,
    pairs,
    uses,
    inOrder.map(({ carrier }) => carrier),
  );
  const columns = requests.map(() => ({ start: 0, length: 0 }));
  let start = 0;
  for (const [i, { request }] of inOrder.entries()) {
    const length = norms[i]?.shape[1] as number;
    columns[request] = { start, length };
    start += length;
  }
  const none = b.expand(b.scalar(0), [pairs, 1]);
  const joined = b.concat([...norms, none], 1);
  const graph = b.build([losses, joined]);
  return { graph, targets: targets.name, weights: weights.name, squaredNorms: joined.name, columns, losses: losses.name };
}
