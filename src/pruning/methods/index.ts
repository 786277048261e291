import { EspalierError } from "../../errors.ts";
import type { Method } from "./method.ts";
import { pip } from "./pip.ts";

/** Every method there is. The API's enum and the docs derive from this list. */
export const methods: readonly Method[] = [pip];

/** @throws EspalierError UNKNOWN_METHOD listing the known ones */
export function methodNamed(name: string): Method {
  const method = methods.find((m) => m.name === name);
  if (method) return method;
  throw new EspalierError("UNKNOWN_METHOD", `there is no pruning method "${name}"; there are: ${methods.map((m) => m.name).join(", ")}`, {
    method: name,
  });
}
