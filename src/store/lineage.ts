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

/** The models that a model came from, nearest first. */
export async function ancestors(db: Database, modelId: string, maxDistance: number): Promise<Relative[]> {
  const steps = await db.$queryRaw<Step[]>`
    WITH RECURSIVE line AS (
      SELECT "parentId" AS id, 1 AS distance FROM "Model" WHERE id = ${modelId}::uuid AND ${maxDistance}::int > 0
      UNION ALL
      SELECT m."parentId", line.distance + 1 FROM line JOIN "Model" m ON m.id = line.id WHERE line.distance < ${maxDistance}::int
    )
    SELECT id, distance FROM line WHERE id IS NOT NULL ORDER BY distance`;
  return resolve(db, steps);
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
