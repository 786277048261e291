import { backward, gradientOf } from "../autodiff/backward.ts";
import { blockSizes, type Head, headOf, logitsOfRows, rowsIn } from "../autodiff/head.ts";
import { crossEntropyRows } from "../autodiff/loss.ts";
import { GraphBuilder, type Value } from "../onnx/builder.ts";
import { sizeAt, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import type { Trained } from "./methods/method.ts";
import { type LossOptions, predictionObjectives, stateObjectives, weightedRows, weightedStates } from "./objectives.ts";
import { backwardBySegments } from "./segments.ts";

/** A graph of a batch [B, T], and the names by which it is fed and read; token inputs keep theirs. */
export interface BatchGraph {
  readonly graph: TypedGraph;
  /** Input [N, 1] int64, N = B T: the token that follows each. */
  readonly targets: string;
  /** Input [N, 1] float32: how much each token counts. */
  readonly weights: string;
  /** Output [1] float32: the weighted sum of all tokens' losses. */
  readonly loss: string;
}

/** One that also adds up gradients. */
export interface TrainingGraph extends BatchGraph {
  /** For each trained tensor, in order: the input that holds the sum so far, and the output that is it with this batch's gradient. */
  readonly sums: readonly { readonly before: string; readonly after: string }[];
}

/** The teacher's part of a graph. */
export interface TeacherPart {
  readonly typed: TypedGraph;
  readonly logits: string;
  /** Names of the model's residual stream at the end of each layer, and of the teacher's that it should be; none if no objective asks. */
  readonly layers?: readonly { readonly own: string; readonly its: string }[];
}

/** A forward pass whose logits are worked out by blocks of tokens, so that those of all never stand at once. */
interface Blocks {
  readonly head: Head;
  /** Rows of what the head reads, block by block. */
  readonly rows: readonly Value[];
}

function blocksOf(b: GraphBuilder, typed: TypedGraph, logits: string, sizes: readonly number[]): Blocks {
  const head = headOf(typed, logits);
  return { head, rows: rowsIn(b, b.value(head.input), sizes) };
}

interface Ports {
  readonly sizes: readonly number[];
  readonly targets: Value;
  readonly weights: Value;
}

function portsOf(b: GraphBuilder, logits: Value): Ports {
  const [N, V] = [sizeOf(logits.shape) / sizeAt(logits.shape, -1), sizeAt(logits.shape, -1)];
  return {
    sizes: blockSizes(N, V),
    targets: b.input("recovery/targets", "int64", [N, 1]),
    weights: b.input("recovery/weights", "float32", [N, 1]),
  };
}

/** The mean loss of texts as it is measured: weighted cross-entropy of the tokens that follow. */
export function buildLossGraph(typed: TypedGraph, logits: string): BatchGraph {
  const b = new GraphBuilder(typed, "held-back");
  const { sizes, targets, weights } = portsOf(b, b.value(logits));
  const { head, rows } = blocksOf(b, typed, logits, sizes);
  const [target, weight] = [rowsIn(b, targets, sizes), rowsIn(b, weights, sizes)];
  const losses = rows.map((own, i) => b.mul(crossEntropyRows(b, logitsOfRows(b, head, own), target[i] as Value), weight[i] as Value));
  const loss = b.reshape(b.reduceSum(b.concat(losses, 0), [0]), [1]);
  return { graph: b.build([loss]), targets: targets.name, weights: weights.name, loss: loss.name };
}

/**
 * Extends a forward pass to train: one run gives the loss of a batch, and adds its gradient by each trained tensor to a sum.
 *
 * Logits and their gradients stand for a block of tokens at a time: each block's loss is worked out and led back through the head before
 * the next block's begins. What comes back for the trunk leaves with the block's losses in one value, which keeps ONNX Runtime to that order.
 *
 * @param typed the model's forward pass, and the teacher's beside it
 * @param trained inputs of the graph
 * @param ends values between which activations are worked out anew in the backward pass (`backwardBySegments`); none to keep all
 * @throws EspalierError UNSUPPORTED_OPERATOR
 */
export function buildTrainingGraph(
  typed: TypedGraph,
  logits: string,
  teacher: TeacherPart | null,
  trained: readonly Trained[],
  options: LossOptions,
  ends: readonly string[] = [],
): TrainingGraph {
  const b = new GraphBuilder(typed, "train");
  const { sizes, targets, weights } = portsOf(b, b.value(logits));
  const states = stateObjectives(options.objectives).length > 0 ? ofStates(b, teacher?.layers ?? [], weights, options) : null;
  const own = blocksOf(b, typed, logits, sizes);
  const its = teacher && blocksOf(b, teacher.typed, teacher.logits, sizes);
  const [target, weight] = [rowsIn(b, targets, sizes), rowsIn(b, weights, sizes)];
  const ofHead = trained.map((t) => t.name).filter((name) => own.head.nodes.some((n) => n.inputs.includes(name)));
  const partial = new Map<string, Value>();

  const predicts = predictionObjectives(options.objectives).length > 0;
  const back = (predicts ? own.rows : []).map((rows, i) => {
    const z = logitsOfRows(b, own.head, rows);
    const prediction = { logits: z, teacher: its ? logitsOfRows(b, its.head, its.rows[i] as Value) : null, targets: target[i] as Value };
    const { loss, dLogits } = weightedRows(b, prediction, options);
    const dz = b.mul(dLogits, weight[i] as Value);
    const weighted = b.mul(loss, weight[i] as Value);
    if (z === rows) return b.concat([dz, weighted], 1);
    const { uses } = backward(b, new Map([[z.name, dz]]), [rows.name, ...ofHead]);
    for (const name of ofHead) {
      const found = gradientOf(b, b.value(name), uses.get(name));
      const before = partial.get(name);
      if (found) partial.set(name, before ? b.add(before, found) : found);
    }
    return b.concat([gradientOf(b, rows, uses.get(rows.name)) as Value, weighted], 1);
  });
  const seeds = new Map(states?.seeds);
  const losses = states ? [states.losses] : [];
  if (predicts) {
    const all = b.concat(back, 0);
    const [dRows, ofRows] = b.split(all, [sizeAt(all.shape, 1) - 1, 1], 1) as [Value, Value];
    const input = b.value(own.head.input);
    const [dInput, other] = [b.reshape(dRows, input.shape), seeds.get(input.name)];
    seeds.set(input.name, other ? b.add(dInput, other) : dInput);
    losses.push(ofRows);
  }
  const trunk = trained.map((t) => t.name).filter((name) => typed.types.has(name));
  const uses = backwardBySegments(b, typed.graph, seeds, trunk, ends);

  const sums = trained.map(({ name, shape }) => {
    const before = b.input(`gradient/${name}`, "float32", shape);
    const parts = [gradientOf(b, b.value(name), uses.get(name)), partial.get(name)].filter((v) => v != null);
    return { name, before, after: parts.reduce(b.add, before) };
  });
  // One that nothing depends on leaves its sum as it is, in a node of its own: an input is no output.
  const after = sums.map((s) => (s.after === s.before ? b.op("Identity", [s.before], s.before.shape) : s.after));
  // ONNX Runtime takes up the last leaf first: the tensors that the walk meets first come last, and the loss, which then is known, first.
  const met = new Map([...uses.keys()].map((name, i) => [name, i]));
  const order = sums.map((s, i) => ({ i, place: met.get(s.name) ?? -1 })).sort((x, y) => y.place - x.place);
  const loss = b.reshape(b.reduceSum(losses.reduce(b.add), [0]), [1]);
  return {
    graph: b.build([loss, ...order.map(({ i }) => after[i] as Value)]),
    targets: targets.name,
    weights: weights.name,
    loss: loss.name,
    sums: sums.map((s, i) => ({ before: s.before.name, after: (after[i] as Value).name })),
  };
}

/** The loss of the states at the end of each layer, and what the backward pass begins with there. */
function ofStates(
  b: GraphBuilder,
  layers: NonNullable<TeacherPart["layers"]>,
  weights: Value,
  options: LossOptions,
): { readonly losses: Value; readonly seeds: ReadonlyMap<string, Value> } {
  const rows = (name: string) => rowsIn(b, b.value(name), [sizeAt(weights.shape, 0)])[0] as Value;
  const pairs = layers.map(({ own, its }) => ({ own: rows(own), its: rows(its) }));
  const { losses, gradients } = weightedStates(b, pairs, weights, options);
  const seeds = layers.map(({ own }, i) => [own, b.reshape(gradients[i] as Value, b.value(own).shape)] as const);
  return { losses, seeds: new Map(seeds) };
}
