import type { PruningRunRecord } from "./pruning-runs.ts";
import { toRunRecord } from "./runs.ts";
import type { Database } from "./store.ts";

/** A pruning run that took a known time. */
export interface MeasuredRun {
  readonly run: PruningRunRecord;
  /** Of the model that it pruned. */
  readonly baseParameters: number;
  readonly iterations: number;
  /** From its beginning to its end. */
  readonly ms: number;
}

/** So many of the newest tell how long others take. */
const enough = 3;

/**
 * The newest pruning runs that succeeded by a method on models of about a size, within a factor of two.
 *
 * @param provider what they ran on; `AUTO` for any
 */
export async function likePruningRuns(
  db: Database,
  {
    method,
    parameterCount,
    provider,
  }: { readonly method: string; readonly parameterCount: number; readonly provider: "AUTO" | "CPU" | "CUDA" },
): Promise<MeasuredRun[]> {
  const size = { gte: Math.ceil(parameterCount / 2), lte: parameterCount * 2 };
  const rows = await db.run.findMany({
    where: {
      ...{ kind: "PRUNING", status: "SUCCEEDED", method, fromRunId: null },
      // One that another worker took over was begun twice.
      attempt: 1,
      model: { parameterCount: size },
      ...(provider === "AUTO" ? {} : { executionProvider: provider }),
    },
    orderBy: { id: "desc" },
    take: enough,
    include: { model: { select: { parameterCount: true } }, _count: { select: { iterations: true } } },
  });
  return rows.flatMap(({ model, _count: { iterations }, ...row }) => {
    const ms = (row.finishedAt?.getTime() ?? 0) - (row.startedAt?.getTime() ?? 0);
    if (!model || iterations === 0 || ms <= 0) return [];
    return [{ run: toRunRecord<"PRUNING">(row), baseParameters: Number(model.parameterCount), iterations, ms }];
  });
}
