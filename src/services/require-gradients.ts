import { EspalierError } from "../errors.ts";
import { isQuantising } from "../store/compression-runs.ts";
import { ancestors } from "../store/lineage.ts";
import type { ModelRecord } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import type { RunSubject } from "./run-subject.ts";

/** As the first of a model's obstacles says it (src/autodiff/gradient-obstacle.ts). */
const quantised = "QUANTISED_WEIGHTS";

/** Ancestors that are looked at. */
const farthest = 100;

type Subject = Pick<RunSubject, "argument" | "model" | "making">;

/**
 * Weights that are codes have no gradients, and are not made codes again. Says which ancestor can be taken in place of the model: the nearest that is not quantised.
 *
 * @throws EspalierError QUANTISED_WEIGHTS if a model is quantised, or will be, with the ancestor's id in `ancestorId`
 */
export async function requireUnquantised({ prisma }: Store, { argument, model, making }: Subject): Promise<void> {
  const quantising = making.find((run) => run.kind === "COMPRESSION" && isQuantising(run.options));
  if (quantising)
    throw new EspalierError(
      quantised,
      `the run ${quantising.id} quantises what it makes: take what that run works on, and quantise what comes of it`,
      { argument },
    );
  if (!isQuantised(model)) return;
  const found = (await ancestors(prisma, model.id, farthest)).find((ancestor) => !isQuantised(ancestor.model))?.model;
  if (!found) throw new EspalierError(quantised, model.pruningObstacle?.message ?? "", { argument });
  const take = `take its ancestor ${found.name} (${found.id}), which is not, and quantise what comes of it`;
  throw new EspalierError(quantised, `the model ${model.name} is quantised: ${take}`, { argument, ancestorId: found.id });
}

const isQuantised = ({ pruningObstacle }: ModelRecord): boolean => pruningObstacle?.code === quantised;

/** @throws EspalierError what `requireUnquantised` throws; what else keeps a model's gradients from being had */
export async function requireGradients(store: Store, subject: Subject): Promise<void> {
  await requireUnquantised(store, subject);
  const obstacle = subject.model.pruningObstacle;
  if (obstacle) throw new EspalierError(obstacle.code, obstacle.message, { argument: subject.argument });
}
