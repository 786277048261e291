import { findModels, type ModelRecord } from "./models.ts";
import type { Database } from "./store.ts";

/** A relative of a model: parents and children are at distance 1. */
export interface Relative {
  readonly model: ModelRecord;
  readonly distance: number;
}

type Step = { readonly id: string; readonly distance: number };

async function resolve(db: Database, steps: readonly Step[]): Promise<Relative[]> {
  const models = await findModels(
    db,
    steps.map((s) => s.id),
  );
  // A model deleted between the two queries is no relative any more.
  return steps.flatMap(({ distance }, i) => (models[i] ? [{ model: models[i], distance }] : []));
}

/** For each of many models the models that it came from, nearest first. */
export async function ancestorsOfModels(db: Database, modelIds: readonly string[], maxDistance: number): Promise<Relative[][]> {
  const steps = await db.$queryRaw<(Step & { readonly of: string })[]>`
    WITH RECURSIVE line AS (
      SELECT id AS of, "parentId" AS id, 1 AS distance FROM "Model" WHERE id = ANY(${[...new Set(modelIds)]}::uuid[]) AND ${maxDistance}::int > 0
      UNION ALL
      SELECT line.of, m."parentId", line.distance + 1 FROM line JOIN "Model" m ON m.id = line.id WHERE line.distance < ${maxDistance}::int
    )
    SELECT of, id, distance FROM line WHERE id IS NOT NULL ORDER BY distance`;
  const relatives = await resolve(db, steps);
  const known = new Map(relatives.map((relative) => [relative.model.id, relative.model]));
  return modelIds.map((modelId) =>
    steps.flatMap(({ of, id, distance }) => {
      const model = of === modelId ? known.get(id) : undefined;
      return model ? [{ model, distance }] : [];
    }),
  );
}

/** The models that a model came from, nearest first. */
export async function ancestors(db: Database, modelId: string, maxDistance: number): Promise<Relative[]> {
  const [line = []] = await ancestorsOfModels(db, [modelId], maxDistance);
  return line;
}

/** The models that came from a model, nearest first, then oldest; no more than `limit`, of which the farthest are any. */
export async function descendants(db: Database, modelId: string, maxDistance: number, limit: number): Promise<Relative[]> {
  // PostgreSQL finds generation after generation, and no more than are taken.
  const steps = await db.$queryRaw<Step[]>`
    WITH RECURSIVE line AS (
      SELECT id, 1 AS distance FROM "Model" WHERE "parentId" = ${modelId}::uuid AND ${maxDistance}::int > 0
      UNION ALL
      SELECT m.id, line.distance + 1 FROM line JOIN "Model" m ON m."parentId" = line.id WHERE line.distance < ${maxDistance}::int
    )
    SELECT * FROM (SELECT id, distance FROM line LIMIT ${limit}::int) nearest ORDER BY distance, id`;
  return resolve(db, steps);
}
