import { EspalierError } from "../../errors.ts";
import { full } from "./full.ts";
import { gates } from "./gates.ts";
import { kronecker } from "./kronecker.ts";
import { layerMap } from "./layer-map.ts";
import { leastSquares } from "./least-squares.ts";
import { lora } from "./lora.ts";
import { isTrained, type RecoveryMethod, type TrainedMethod } from "./method.ts";
import { norms } from "./norms.ts";
import { sparsityPreserving } from "./sparsity-preserving.ts";

/** THE list of the ways of healing; the first is the default. The API's enum, the docs' table and the contract test follow from it. */
export const recoveryMethods: readonly RecoveryMethod[] = [lora, full, gates, norms, kronecker, sparsityPreserving, leastSquares, layerMap];

/** Those that train. */
export const trainedMethods: readonly TrainedMethod[] = recoveryMethods.filter(isTrained);

/** @throws EspalierError UNKNOWN_METHOD */
export function recoveryMethodNamed(name: string): RecoveryMethod {
  const found = recoveryMethods.find((m) => m.name === name);
  if (found) return found;
  const known = recoveryMethods.map((m) => m.name);
  throw new EspalierError("UNKNOWN_METHOD", `there is no way of healing "${name}"; there are: ${known.join(", ")}`, { name, known });
}
