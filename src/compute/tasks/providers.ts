import { type ConcreteProvider, resolveProvider } from "../../runtime/providers.ts";
import type { Task } from "../child.ts";

// biome-ignore lint/correctness/useYield: it has nothing to report before its result
export const providersTask: Task<"providers"> = async function* () {
  const best = await resolveProvider("AUTO");
  return [...new Set<ConcreteProvider>(["CPU", best])];
};
