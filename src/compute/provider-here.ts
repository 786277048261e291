import type { ConcreteProvider, ExecutionProvider } from "../runtime/providers.ts";

/** What a job runs on here: AUTO is what the worker offers, where it offers one thing only. */
export function providerHere(
  { providers }: { readonly providers: readonly ConcreteProvider[] },
  asked: ExecutionProvider,
): ExecutionProvider {
  const [only, ...others] = providers;
  return asked === "AUTO" && only && others.length === 0 ? only : asked;
}
