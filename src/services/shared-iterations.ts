import { isDeepStrictEqual } from "node:util";
import { EspalierError } from "../errors.ts";
import { defaultPruningOptions } from "../pruning/options.ts";
import type { IterationRow, NewPruningRun, PruningRunRecord } from "../store/pruning-runs.ts";

/**
 * How many of a run's stored iterations another run, alike but for its target, would do in the very same way.
 *
 * An iteration scores what is left and takes the lowest, one after another, until it has its share or has met the target. So
 * it is the same under another target where neither cuts it short: that of the run did not, and the other was not met before
 * the last was taken. (Where all layers stay equally wide, structures are taken in bundles: then, before any was.)
 *
 * @param from the run that has stored them
 * @param parameterCount of the base model
 * @param targetRatio the other run's
 */
export function sharedIterations(
  { options }: Pick<PruningRunRecord, "options">,
  parameterCount: number,
  iterations: readonly Pick<IterationRow, "removed" | "parameterCount">[],
  targetRatio: number,
): number {
  const { structuresPerIteration: share, uniform } = options;
  const [target, ownTarget] = [targetRatio, options.targetRatio].map((ratio) => parameterCount * (1 - ratio)) as [number, number];
  const differs = iterations.findIndex(({ removed }, i) => {
    const before = iterations[i - 1]?.parameterCount ?? parameterCount;
    const taken = removed.reduce((sum, structure) => sum + structure.parameterCount, 0);
    const beforeLast = uniform ? taken : taken - (removed.at(-1)?.parameterCount ?? 0);
    const whole = share >= 1 && removed.length >= share;
    const cutShort = !whole && before - taken <= ownTarget && target < ownTarget;
    return cutShort || before - beforeLast <= target;
  });
  return differs === -1 ? iterations.length : differs;
}

/**
 * Checks that a new run may begin with another's iterations: all but the target is the same.
 *
 * @throws EspalierError BAD_USER_INPUT naming the argument that differs
 */
export function requireAlike(run: NewPruningRun, from: PruningRunRecord): void {
  const { targetRatio: _a, ...options } = run.options;
  // One stored before an option was thought of has its default.
  const { targetRatio: _b, ...others } = { ...defaultPruningOptions, ...from.options };
  const pairs: [argument: string, ours: unknown, theirs: unknown][] = [
    ["input.subject.modelId", "modelId" in run && run.modelId.toLowerCase(), from.modelId],
    ["input.method", run.method, from.method],
    ["input.dataset", run.datasetId, from.datasetId],
    ...Object.entries(options).map(([name, value]): [string, unknown, unknown] => [
      `input.options.${name}`,
      value,
      others[name as keyof typeof others],
    ]),
  ];
  const different = pairs.find(([, ours, theirs]) => !isDeepStrictEqual(ours, theirs));
  if (different)
    throw new EspalierError("BAD_USER_INPUT", `${different[0]} must be that of the run to begin from: only the target may differ`, {
      argument: different[0],
    });
}
