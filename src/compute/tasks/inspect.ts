import { inspect } from "../../models/inspect.ts";
import type { Task } from "../child.ts";

// biome-ignore lint/correctness/useYield: it has nothing to report before its result
export const inspectTask: Task<"inspect"> = async function* (request) {
  return await inspect(request);
};
