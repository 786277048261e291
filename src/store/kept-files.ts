import type { Prisma } from "../generated/prisma/client.ts";
import type { Database } from "./store.ts";

/** Artifacts that runs keep to go on from: the last check of a training, the steps of a compression. */
export async function keptByRuns(db: Database, run: Prisma.RunWhereInput): Promise<string[]> {
  const checkpoints = await db.checkpoint.findMany({ where: { run }, select: { sha256: true } });
  const steps = await db.compressionStep.findMany({ where: { run }, select: { sha256: true } });
  return [...checkpoints, ...steps].flatMap(({ sha256 }) => sha256 ?? []);
}
