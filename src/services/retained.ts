import type { EvaluationResult } from "../evaluation/evaluate.ts";

/** How a model's accuracy on items with choices lies to that of the model that it is held against. */
export interface AccuracyKept {
  /** The model's accuracy less the other's. */
  readonly accuracyDifference: number | null;
  readonly accuracyDifferenceStandardError: number | null;
  /** Accuracy above that of guessing, over the other's. 0 if the model does no better than guessing. */
  readonly aboveChanceRatio: number | null;
  readonly aboveChanceRatioStandardError: number | null;
  /** Why the ratio is null, in a sentence; null where it is not, or nothing was answered. */
  readonly aboveChanceObstacle: string | null;
}

type Answers = Pick<EvaluationResult, "accuracy" | "accuracyStandardError" | "chanceAccuracy"> & {
  /** In place of accuracy, of answers that are written. */
  readonly exactMatch?: number | null;
  readonly exactMatchStandardError?: number | null;
  readonly itemCount?: number | null;
  readonly correctItems?: string | null;
};

/** A model is taken to be above chance where its accuracy is so many standard errors above it. */
const enoughErrors = 2;

const nothing: AccuracyKept = {
  accuracyDifference: null,
  accuracyDifferenceStandardError: null,
  aboveChanceRatio: null,
  aboveChanceRatioStandardError: null,
  aboveChanceObstacle: null,
};

const asAccuracy = (answers: Answers): Answers =>
  answers.exactMatch == null
    ? answers
    : { ...answers, accuracy: answers.exactMatch, accuracyStandardError: answers.exactMatchStandardError ?? null };

/**
 * With c what guessing gets, a the model's accuracy and p the other's, the ratio is `r = (a - c) / (p - c)`. Its standard error is that of the delta method,
 *
 *     sqrt(Var(a) + r^2 Var(p) - 2 r Cov(a, p)) / (p - c)
 *
 * Both answered the same items, so that their accuracies go together: where it is known which items each had right, the covariance is that of the
 * items, over their number. Where it is not, none is reckoned with, which makes both errors larger than they are.
 *
 * @param own what a model had right
 * @param other of the same items
 */
export function accuracyKept(...answers: readonly [own: Answers, other: Answers]): AccuracyKept {
  const [own, other] = answers.map(asAccuracy) as [Answers, Answers];
  const [a, p, c] = [own.accuracy, other.accuracy, other.chanceAccuracy];
  if (a == null || p == null) return nothing;
  const [va, vp] = [squared(own.accuracyStandardError), squared(other.accuracyStandardError)];
  const covariance = covarianceOf(own, other);
  const known = va !== null && vp !== null;
  const difference = {
    accuracyDifference: a - p,
    accuracyDifferenceStandardError: known ? root(va + vp - 2 * covariance) : null,
  };
  if (c == null) return { ...nothing, ...difference };
  const obstacle = chanceObstacle(p, other.accuracyStandardError, c);
  if (obstacle !== null) return { ...nothing, ...difference, aboveChanceObstacle: obstacle };
  const r = (a - c) / (p - c);
  return {
    ...difference,
    aboveChanceRatio: Math.max(0, r),
    aboveChanceRatioStandardError: known ? root(va + r * r * vp - 2 * r * covariance) / (p - c) : null,
    aboveChanceObstacle: null,
  };
}

/** One task's accuracies: a model's, and that of the model it is held against. */
export interface TaskKept {
  readonly own: Answers;
  readonly other: Answers;
  /** Of own less other. */
  readonly accuracyDifferenceStandardError: number | null;
}

/**
 * The share of what a model knew above chance that another still does, over several tasks together: `sum (a_k - c_k) / sum (p_k - c_k)` over the tasks
 * at which the other is above chance. Items of different tasks are independent, so that the variances of `a_k - r p_k` add up.
 *
 * @returns null where the other is above chance at no task
 */
export function aboveChanceOverTasks(tasks: readonly TaskKept[]): { readonly value: number; readonly standardError: number | null } | null {
  const counted = tasks.flatMap(({ accuracyDifferenceStandardError, ...task }) => {
    const [own, other] = [asAccuracy(task.own), asAccuracy(task.other)];
    const [a, p, c] = [own.accuracy, other.accuracy, other.chanceAccuracy];
    if (a == null || p == null || c == null || chanceObstacle(p, other.accuracyStandardError, c) !== null) return [];
    const [va, vp, vd] = [own.accuracyStandardError, other.accuracyStandardError, accuracyDifferenceStandardError].map(squared);
    return [{ above: a - c, whole: p - c, va, vp, vd }];
  });
  if (counted.length === 0) return null;
  const whole = counted.reduce((sum, { whole }) => sum + whole, 0);
  const r = counted.reduce((sum, { above }) => sum + above, 0) / whole;
  // Var(a - r p), with 2 Cov(a, p) = Var(a) + Var(p) - Var(a - p).
  const variances = counted.map(({ va, vp, vd }) => (va == null || vp == null || vd == null ? null : va + r * r * vp - r * (va + vp - vd)));
  const known = variances.filter((v) => v !== null);
  const standardError = known.length < counted.length ? null : root(known.reduce((sum, v) => sum + v, 0)) / whole;
  return { value: r, standardError };
}

/**
 * Why it cannot be told that a model knows more than guessing would get right; null if it can.
 *
 * @param chance what guessing gets
 */
export function chanceObstacle(accuracy: number, standardError: number | null | undefined, chance: number): string | null {
  const percent = (n: number) => `${(100 * n).toFixed(1)}%`;
  if (standardError == null) return "of the model that it is held against only one item was measured: nothing says how sure that is";
  if (accuracy - chance > enoughErrors * standardError) return null;
  return (
    `the model that it is held against answers ${percent(accuracy)} ± ${percent(standardError)}, and guessing ${percent(chance)}: ` +
    "it is not above chance by two standard errors, so that there is nothing to be kept"
  );
}

const squared = (error: number | null | undefined): number | null => (error == null ? null : error * error);

/** Rounding may leave a little of what is nothing, or less; one item of 100,000 makes a variance of 1e-10. */
const root = (variance: number): number => (variance > 1e-14 ? Math.sqrt(variance) : 0);

/** Of two accuracies, from which items each had right; 0 where that is not known of both. */
function covarianceOf(one: Answers, two: Answers): number {
  const n = one.itemCount ?? 0;
  if (n < 2 || n !== two.itemCount || one.correctItems == null || two.correctItems == null) return 0;
  const [x, y] = [Buffer.from(one.correctItems, "base64"), Buffer.from(two.correctItems, "base64")];
  const bit = (bytes: Buffer, i: number) => ((bytes[i >> 3] ?? 0) >> (i & 7)) & 1;
  let [inX, inY, inBoth] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const [a, b] = [bit(x, i), bit(y, i)];
    inX += a;
    inY += b;
    inBoth += a & b;
  }
  return (inBoth - (inX * inY) / n) / (n - 1) / n;
}
