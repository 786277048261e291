import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import type { ObjectiveWeights, RecoveryOptions } from "./options.ts";

/** What an objective is worked out from, for R tokens. */
export interface Prediction {
  /** Logits of the model that is trained [R, V]. */
  readonly logits: Value;
  /** Those of the teacher [R, V]; null where no objective asks for one. */
  readonly teacher: Value | null;
  /** The token that comes next [R, 1] int64. */
  readonly targets: Value;
}

/** Of each token its loss [R, 1], and the gradient of that by the token's logits [R, V]. */
export interface RowLoss {
  readonly loss: Value;
  readonly dLogits: Value;
}

/** Of each token its loss [N, 1], and the gradient of that by the states of the model, like them. */
export interface StateLoss {
  readonly loss: Value;
  readonly dOwn: Value;
}

interface AnyObjective {
  readonly name: keyof ObjectiveWeights;
  readonly needsTeacher: boolean;
}

/** One of what is predicted. */
export interface PredictionObjective extends AnyObjective {
  rows(b: GraphBuilder, prediction: Prediction, options: Pick<RecoveryOptions, "temperature">): RowLoss;
}

/** One of the states [N, H] of the residual stream at the end of each layer, beside the teacher's there; the mean of all layers is its loss. */
export interface StateObjective extends AnyObjective {
  states(b: GraphBuilder, own: Value, its: Value): StateLoss;
}

export type Objective = PredictionObjective | StateObjective;

/**
 * `tau^2 KL(p_teacher || p)`, both of logits over tau (Hinton et al. 2015, arXiv 1503.02531). Its gradient by the logits is
 * `tau (p - p_teacher)`.
 */
const distill: PredictionObjective = {
  name: "distill",
  needsTeacher: true,
  rows(b, { logits, teacher }, { temperature }) {
    const over = (v: Value) => b.logSoftmax(temperature === 1 ? v : b.mul(v, b.scalar(1 / temperature)));
    const [own, its] = [over(logits), over(teacher as Value)];
    const p = b.exp(its);
    const loss = b.reduceSum(b.mul(p, b.sub(its, own)), [-1]);
    const dLogits = b.sub(b.exp(own), p);
    if (temperature === 1) return { loss, dLogits };
    return { loss: b.mul(loss, b.scalar(temperature ** 2)), dLogits: b.mul(dLogits, b.scalar(temperature)) };
  },
};

/** `-log p[target]`. Its gradient by the logits is `p - onehot(target)`, of which one element a row is overwritten. */
const languageModel: PredictionObjective = {
  name: "languageModel",
  needsTeacher: false,
  rows(b, { logits, targets }) {
    const logP = b.logSoftmax(logits);
    const ofTarget = b.gatherElements(logP, targets, -1);
    const lowered = b.sub(b.exp(ofTarget), b.scalar(1));
    const dLogits = b.op("ScatterElements", [b.exp(logP), targets, lowered], logP.shape, { axis: attr.int(-1) });
    return { loss: b.neg(ofTarget), dLogits };
  },
};

/** `|| s - t ||^2 / || t ||^2`, token by token: far states do not drown near ones. Its gradient by s is `2 (s - t) / || t ||^2`. */
const hidden: StateObjective = {
  name: "hidden",
  needsTeacher: true,
  states(b, own, its) {
    const squares = (v: Value) => b.reduceSum(b.mul(v, v), [-1]);
    const apart = b.sub(own, its);
    const length = b.add(squares(its), b.scalar(1e-12));
    return { loss: b.div(squares(apart), length), dOwn: b.div(b.mul(apart, b.scalar(2)), length) };
  },
};

/** THE table of the objectives. */
export const objectives: readonly Objective[] = [distill, languageModel, hidden];

/** How much each counts; those that are left out do not. */
export type Weights = Partial<ObjectiveWeights>;

const counts = (weights: Weights) => (o: Objective) => (weights[o.name] ?? 0) > 0;

/** Those that count, of what is predicted. */
export const predictionObjectives = (weights: Weights): PredictionObjective[] =>
  objectives.filter(counts(weights)).filter((o): o is PredictionObjective => "rows" in o);

/** Those that count, of states. */
export const stateObjectives = (weights: Weights): StateObjective[] =>
  objectives.filter(counts(weights)).filter((o): o is StateObjective => "states" in o);

/** Whether a teacher is asked for. */
export const needsTeacher = (weights: Weights): boolean => objectives.filter(counts(weights)).some((o) => o.needsTeacher);

/** What building a loss asks of the options. */
export interface LossOptions {
  readonly objectives: Weights;
  readonly temperature: number;
}

/** The weighted sum of those that count, of what is predicted: of one at least. */
export function weightedRows(b: GraphBuilder, prediction: Prediction, options: LossOptions): RowLoss {
  const parts = predictionObjectives(options.objectives).map((objective) => {
    const { loss, dLogits } = objective.rows(b, prediction, options);
    const weight = options.objectives[objective.name] ?? 0;
    const times = (v: Value) => (weight === 1 ? v : b.mul(v, b.scalar(weight)));
    return { loss: times(loss), dLogits: times(dLogits) };
  });
  return { loss: parts.map((p) => p.loss).reduce(b.add), dLogits: parts.map((p) => p.dLogits).reduce(b.add) };
}

/**
 * The same of states [N, H], layer by layer.
 *
 * @param weight [N, 1]: how much each token counts
 * @returns the losses [N, 1], weighted, and the gradient by each of the model's states
 */
export function weightedStates(
  b: GraphBuilder,
  layers: readonly { readonly own: Value; readonly its: Value }[],
  weight: Value,
  options: LossOptions,
): { readonly losses: Value; readonly gradients: readonly Value[] } {
  const found = layers.map(({ own, its }) =>
    stateObjectives(options.objectives).map((objective) => {
      const { loss, dOwn } = objective.states(b, own, its);
      const factor = b.mul(weight, b.scalar((options.objectives[objective.name] ?? 0) / layers.length));
      return { loss: b.mul(loss, factor), dOwn: b.mul(dOwn, factor) };
    }),
  );
  return {
    losses: found
      .flat()
      .map((f) => f.loss)
      .reduce(b.add),
    gradients: found.map((each) => each.map((f) => f.dOwn).reduce(b.add)),
  };
}
