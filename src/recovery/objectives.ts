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

export interface Objective {
  readonly name: keyof ObjectiveWeights;
  readonly needsTeacher: boolean;
  rows(b: GraphBuilder, prediction: Prediction, options: Pick<RecoveryOptions, "temperature">): RowLoss;
}

/**
 * `tau^2 KL(p_teacher || p)`, both of logits over tau (Hinton et al. 2015, arXiv 1503.02531). Its gradient by the logits is
 * `tau (p - p_teacher)`.
 */
const distill: Objective = {
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
const languageModel: Objective = {
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

/** THE table of the objectives. */
export const objectives: readonly Objective[] = [distill, languageModel];

/** Those that count. */
export const chosenObjectives = (weights: ObjectiveWeights): Objective[] => objectives.filter(({ name }) => weights[name] > 0);

/** Whether a teacher is asked for. */
export const needsTeacher = (weights: ObjectiveWeights): boolean => chosenObjectives(weights).some((o) => o.needsTeacher);

/** The weighted sum of the objectives that count. */
export function weightedRows(
  b: GraphBuilder,
  prediction: Prediction,
  options: Pick<RecoveryOptions, "objectives" | "temperature">,
): RowLoss {
  const parts = chosenObjectives(options.objectives).map((objective) => {
    const { loss, dLogits } = objective.rows(b, prediction, options);
    const weight = options.objectives[objective.name];
    const times = (v: Value) => (weight === 1 ? v : b.mul(v, b.scalar(weight)));
    return { loss: times(loss), dLogits: times(dLogits) };
  });
  return { loss: parts.map((p) => p.loss).reduce(b.add), dLogits: parts.map((p) => p.dLogits).reduce(b.add) };
}
