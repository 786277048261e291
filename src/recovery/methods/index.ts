import { EspalierError } from "../../errors.ts";
import { full } from "./full.ts";
import { gates } from "./gates.ts";
import { lora } from "./lora.ts";
import type { RecoveryMethod } from "./method.ts";
import { norms } from "./norms.ts";

/** THE list of the ways of healing; the first is the default. The API's enum, the docs' table and the contract test follow from it. */
export const recoveryMethods: readonly RecoveryMethod[] = [lora, full, gates, norms];

/** @throws EspalierError UNKNOWN_METHOD */
export function recoveryMethodNamed(name: string): RecoveryMethod {
  const found = recoveryMethods.find((m) => m.name === name);
  if (found) return found;
  const known = recoveryMethods.map((m) => m.name);
  throw new EspalierError("UNKNOWN_METHOD", `there is no way of healing "${name}"; there are: ${known.join(", ")}`, { name, known });
}
