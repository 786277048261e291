import { bytes, count, duration, measured, percent, words } from "./format.ts";

/** An event of a run, as its subscription gives it; what a type does not have is not there. */
export interface AnyEvent {
  readonly __typename: string;
  readonly sequence: number;
  readonly createdAt: string;
}

interface Removed {
  readonly kind: string;
  readonly index: number;
  readonly score: number | null;
}

/** What an iteration removed: the first of it, and how much that was. */
interface Removal {
  readonly removed: readonly Removed[];
  readonly removedCount: number;
}

/** Structures as `heads 3, 17 (scores 0.0021 to 0.004)`, at most so many by name; those that are not listed come as a number at the end. */
export function removedInWords({ removed, removedCount }: Removal, most = 12): string {
  const kinds = [...new Set(removed.map(({ kind }) => kind))];
  const parts = kinds.map((kind) => {
    const those = removed.filter((each) => each.kind === kind);
    const names = those.slice(0, most).map(({ index }) => index);
    const rest = those.length > most ? ` and ${count(those.length - most)} more` : "";
    const scores = those.flatMap(({ score }) => (score === null ? [] : [score])).sort((a, b) => a - b);
    const [low, high] = [scores[0], scores.at(-1)];
    const range = low === undefined ? "" : low === high ? ` (score ${measured(low)})` : ` (scores ${measured(low)} to ${measured(high)})`;
    return `${words(kind)}${those.length > 1 ? "s" : ""} ${names.join(", ")}${rest}${range}`;
  });
  const unlisted = removedCount > removed.length ? [`${count(removedCount - removed.length)} more`] : [];
  return [...parts, ...unlisted].join("; ") || "nothing";
}

/** What events of some type or other have. */
interface Fields
  extends Readonly<
    Record<
      | "attempt"
      | "progress"
      | "doneBytes"
      | "totalBytes"
      | "parameterCount"
      | "targetParameterCount"
      | "candidates"
      | "iteration"
      | "iterations"
      | "samplesDone"
      | "samplesTotal"
      | "productsDone"
      | "productsTotal"
      | "removedRatio"
      | "trainedParameterCount"
      | "heldBackLoss"
      | "step"
      | "steps"
      | "backToStep"
      | "bestStep"
      | "loss"
      | "tokensPerSecond"
      | "rateFactor"
      | "tokens"
      | "bytesBefore"
      | "bytesAfter",
      number
    >
  > {
  readonly teacherLoss: number | null;
  readonly wonBackRatio: number | null;
  readonly isBest: boolean;
  readonly file: string;
  readonly reason: string;
  readonly executionProvider: string;
  readonly removed: readonly Removed[];
  readonly removedCount: number;
  readonly meanRelativeError: number | null;
  readonly products: readonly { readonly parameter: string; readonly relativeError: number | null }[];
  readonly error: { readonly message: string };
}

const sentences: Readonly<Record<string, (event: Fields) => string>> = {
  RunQueued: () => "What it waited for is there: it is in the queue",
  RunStarted: ({ attempt }) => (attempt > 1 ? `A worker begins it, from the beginning: attempt ${attempt}` : "A worker begins it"),
  RunProgressed: ({ progress }) => `${percent(progress)} done`,
  RunSucceeded: () => "Done",
  RunFailed: ({ error }) => `Failed: ${error.message}`,
  RunCancelled: () => "Cancelled",
  RunResumed: () => "Back in the queue",
  ImportProgressed: ({ file, doneBytes, totalBytes }) => `${file}: ${bytes(doneBytes)} of ${bytes(totalBytes)}`,
  PruningStarted: ({ executionProvider, parameterCount, targetParameterCount, candidates }) =>
    `Runs on ${executionProvider}: from ${count(parameterCount)} parameters to ${count(targetParameterCount)}, ${count(candidates)} structures may go`,
  PruningScoring: ({ iteration, samplesDone, samplesTotal }) =>
    `Iteration ${iteration + 1}: scored ${samplesDone} of ${samplesTotal} samples`,
  PruningRestoring: ({ productsDone, productsTotal }) => `Weights that make up for it: ${productsDone} of ${productsTotal} products`,
  PruningIterationCompleted: ({ iteration, removed, removedCount, parameterCount, removedRatio }) =>
    `Iteration ${iteration + 1} removed ${removedInWords({ removed, removedCount })}: ${count(parameterCount)} parameters left, ${percent(removedRatio)} gone`,
  PruningSucceeded: ({ removedRatio, parameterCount }) =>
    `Done: ${percent(removedRatio)} of the parameters are gone, ${count(parameterCount)} are left`,
  PruningResumed: ({ iterations, removedRatio }) => `Goes on after ${count(iterations)} iterations, with ${percent(removedRatio)} gone`,
  RecoveryStarted: ({ executionProvider, trainedParameterCount, heldBackLoss, teacherLoss }) =>
    `Runs on ${executionProvider}: trains ${count(trainedParameterCount)} numbers; held-back loss ${measured(heldBackLoss)}, the teacher's ${measured(teacherLoss)}`,
  RecoveryStepped: ({ step, steps, loss, tokensPerSecond }) =>
    `Step ${count(step)} of ${count(steps)}: loss ${measured(loss)}, ${measured(tokensPerSecond, 3)} tokens/s`,
  RecoveryChecked: ({ step, heldBackLoss, wonBackRatio, isBest }) =>
    `Check after step ${count(step)}: held-back loss ${measured(heldBackLoss)}, ${percent(wonBackRatio)} won back${isBest ? ", the best so far" : ""}`,
  RecoveryRetreated: ({ step, backToStep, reason, rateFactor }) =>
    `Step ${count(step)} went astray (${reason}): back to step ${count(backToStep)}, rates times ${measured(rateFactor)}`,
  RecoverySucceeded: ({ bestStep, loss, wonBackRatio }) =>
    `Done: the weights of step ${count(bestStep)} are kept, held-back loss ${measured(loss)}, ${percent(wonBackRatio)} won back`,
  CompressionStarted: ({ executionProvider, steps, tokens }) =>
    `Runs on ${executionProvider}: ${count(steps)} steps${tokens > 0 ? `, by ${count(tokens)} tokens` : ""}`,
  ProductsCompressed: ({ step, steps, products }) =>
    `Step ${count(step)} of ${count(steps)}: ${products.map(({ parameter, relativeError }) => `${parameter}${relativeError === null ? "" : ` (error ${percent(relativeError)})`}`).join(", ")}`,
  CompressionSucceeded: ({ bytesBefore, bytesAfter, meanRelativeError }) =>
    `Done: weights of ${bytes(bytesBefore)} are ${bytes(bytesAfter)} now${meanRelativeError === null ? "" : `, with a relative error of ${percent(meanRelativeError)} on the average`}`,
  CompressionResumed: ({ step }) => `Goes on after step ${count(step)}`,
  RecoveryResumed: ({ step }) => `Goes on after step ${count(step)}`,
};

/** An event as a sentence. One that this page does not know is told by its name. */
export function eventInWords(event: AnyEvent): string {
  const sentence = sentences[event.__typename];
  return sentence ? sentence(event as unknown as Fields) : event.__typename.replace(/([a-z])([A-Z])/g, "$1 $2");
}

export const timeLeft = (ms: number | null): string => (ms === null ? "not known yet" : ms <= 0 ? "any moment" : `about ${duration(ms)}`);
