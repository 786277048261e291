import { EspalierError } from "../errors.ts";
import { ancestors } from "../store/lineage.ts";
import type { ModelRecord } from "../store/models.ts";
import type { Database } from "../store/store.ts";

/** As the first of a model's obstacles says it (src/autodiff/gradient-obstacle.ts). */
export const quantised = "QUANTISED_WEIGHTS";

/** Ancestors that are looked at. */
const farthest = 100;

export const isQuantised = ({ pruningObstacle }: Pick<ModelRecord, "pruningObstacle">): boolean => pruningObstacle?.code === quantised;

/**
 * Weights that are codes have no gradients, and are not made codes again. Says which ancestor can be taken in place of the model: the nearest that is not quantised.
 *
 * @param or what else can be done
 * @throws EspalierError QUANTISED_WEIGHTS if a model is quantised, with the ancestor's id in `ancestorId`
 */
export async function requireUnquantised(db: Database, model: ModelRecord, or = ""): Promise<void> {
  if (!isQuantised(model)) return;
  const found = (await ancestors(db, model.id, farthest)).find((ancestor) => !isQuantised(ancestor.model))?.model;
  if (!found) throw new EspalierError(quantised, model.pruningObstacle?.message ?? "");
  const take = `take its ancestor ${found.name} (${found.id}), which is not, and quantise what comes of it`;
  throw new EspalierError(quantised, `the model ${model.name} is quantised: ${take}${or}`, { ancestorId: found.id });
}

/** @throws EspalierError what `requireUnquantised` throws; what else keeps a model's gradients from being had */
export async function requireGradients(db: Database, model: ModelRecord, or = ""): Promise<void> {
  await requireUnquantised(db, model, or);
  const obstacle = model.pruningObstacle;
  if (obstacle) throw new EspalierError(obstacle.code, obstacle.message);
}
