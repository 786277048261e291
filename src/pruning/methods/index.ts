import { EspalierError } from "../../errors.ts";
import { blockInfluence } from "./block-influence.ts";
import { flap } from "./flap.ts";
import { gates } from "./gates.ts";
import { gradientNorm } from "./gradient-norm.ts";
import { leaveOneOut } from "./leave-one-out.ts";
import { magnitudeL1, magnitudeL2 } from "./magnitude.ts";
import type { Method } from "./method.ts";
import { pip } from "./pip.ts";
import { policyGradient } from "./policy-gradient.ts";
import { random } from "./random.ts";
import { reap } from "./reap.ts";
import { taylorElement, taylorVector } from "./taylor.ts";
import { wandaSp } from "./wanda-sp.ts";

/** Every method there is. The API's enum, the docs and the contract test derive from this list. */
export const methods: readonly Method[] = [
  pip,
  taylorVector,
  taylorElement,
  gradientNorm,
  flap,
  wandaSp,
  magnitudeL1,
  magnitudeL2,
  reap,
  blockInfluence,
  leaveOneOut,
  policyGradient,
  gates,
  random,
];

/** @throws EspalierError UNKNOWN_METHOD listing the known ones */
export function methodNamed(name: string): Method {
  const method = methods.find((m) => m.name === name);
  if (method) return method;
  throw new EspalierError("UNKNOWN_METHOD", `there is no pruning method "${name}"; there are: ${methods.map((m) => m.name).join(", ")}`, {
    method: name,
  });
}
