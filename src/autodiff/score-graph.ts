import { EspalierError } from "../errors.ts";
import { GraphBuilder, type Value } from "../onnx/builder.ts";
import { sizeAt, type TypedGraph } from "../onnx/ir.ts";
import { backward } from "./backward.ts";
import { carriersOf } from "./carriers.ts";
import { outputNorms } from "./ghost.ts";
import { type LossKind, signedLosses } from "./loss.ts";
import { lower } from "./lower.ts";
import type { OutputRequest, Reduction, SliceRequest } from "./reductions.ts";

/** A graph that scores, and the names by which it is fed and read; the model's own inputs keep theirs. */
export interface ScoreGraph {
  readonly graph: TypedGraph;
  /** Input [B, T] int64: what each place predicts, e.g. the token that follows; any valid one where the weight is 0. T is 1 where logits are of texts. */
  readonly targets: string;
  /** Input [B, T] float32: `+1/n` on a text, `-1/n~` on its perturbed view, 0 on padding. */
  readonly weights: string;
  /** Output [S, N] float32: for each sample, what the reduction makes of the gradient of its weighted loss, request by request; then the squared norms by outputs. */
  readonly answers: string;
  /** For each request, then for each output, the columns of `answers` that are its: none if the logits do not depend on it. */
  readonly columns: readonly { readonly start: number; readonly length: number }[];
  /** Output [B] float32: loss of each view, nats per token. */
  readonly losses: string;
}

/**
 * Extends a forward graph to score: one run gives the loss of each view, and for each sample what a reduction makes of its
 * gradient, by whole parameters or slices of them. With two views and weights of opposite sign that is the gradient of
 * `L(s) - L(s~)`, and so the difference of the two gradients.
 *
 * @param typed the forward graph at batch B = views * S, sample-major: `[s1, s~1, s2, s~2, ...]` for two views
 * @param logits name of the value [B, T, V] or [B, V]
 * @param outputs of what structures add to the residual stream, the squared norm of the gradient by a map of it is wanted
 * @throws EspalierError UNSUPPORTED_OPERATOR, UNSUPPORTED_LAYOUT, UNSUPPORTED_PARAMETER_USE
 */
export function buildScoreGraph(
  typed: TypedGraph,
  logits: string,
  requests: readonly SliceRequest[],
  reduce: Reduction,
  views: number,
  outputs: readonly OutputRequest[] = [],
  loss: LossKind = "CROSS_ENTROPY",
): ScoreGraph {
  const forward = lower(typed);
  const b = new GraphBuilder(forward, "score");
  const z = b.value(logits);
  const [batch] = z.shape as [number];
  const tokens = z.shape.length === 2 ? 1 : sizeAt(z.shape, 1);
  if ((z.shape.length !== 3 && z.shape.length !== 2) || batch % views !== 0)
    throw new EspalierError(
      "UNSUPPORTED_LAYOUT",
      `logits must be [${views} * S, T, V] or [${views} * S, V], but "${logits}" is [${z.shape}]`,
      {
        value: logits,
      },
    );
  const samples = batch / views;
  const targets = b.input("score/targets", "int64", [batch, tokens]);
  const weights = b.input("score/weights", "float32", [batch, tokens]);

  const { losses, dLogits } = signedLosses[loss](b, z, targets, weights);
  const carriers = carriersOf(forward, requests);
  const wanted = [...new Set([...carriers.map((c) => c.parameter), ...outputs.flatMap((o) => o.parameters)])];
  const { uses, cotangents } = backward(b, new Map([[logits, dLogits]]), wanted);

  // Answers are made and joined in the order the walk meets their parameters, last layer first, so that each is reduced as
  // soon as its activations allow.
  const met = new Map([...uses.keys()].map((name, i) => [name, i]));
  const inOrder = carriers
    .map((carrier, request) => ({ carrier, request, place: met.get(carrier.parameter) ?? -1 }))
    .filter(({ place }) => place >= 0)
    .sort((x, y) => x.place - y.place);
  const slices = reduce(
    b,
    { samples, views },
    uses,
    inOrder.map(({ carrier }) => carrier),
  );
  const norms = outputNorms(b, { samples, views }, cotangents, outputs);
  const answers: { readonly request: number; readonly answer: Value }[] = [
    ...inOrder.map(({ request }, i) => ({ request, answer: slices[i] as Value })),
    ...norms.flatMap((answer, i) => (answer ? [{ request: requests.length + i, answer }] : [])).reverse(),
  ];
  const columns = [...requests, ...outputs].map(() => ({ start: 0, length: 0 }));
  let start = 0;
  for (const { request, answer } of answers) {
    const length = sizeAt(answer.shape, 1);
    columns[request] = { start, length };
    start += length;
  }
  const none = b.expand(b.scalar(0), [samples, 1]);
  const joined = joinedBySteps(b, [...answers.map(({ answer }) => answer), none]);
  const graph = b.build([losses, joined]);
  return { graph, targets: targets.name, weights: weights.name, answers: joined.name, columns, losses: losses.name };
}

/** Side by side, a few at a time: ONNX Runtime takes as long to load a Concat of a thousand values as all the rest of the graph. */
function joinedBySteps(b: GraphBuilder, answers: readonly Value[]): Value {
  const most = 16;
  if (answers.length <= most) return b.concat(answers, 1);
  const groups = Array.from({ length: Math.ceil(answers.length / most) }, (_, i) => answers.slice(i * most, (i + 1) * most));
  return joinedBySteps(
    b,
    groups.map((group) => b.concat(group, 1)),
  );
}
