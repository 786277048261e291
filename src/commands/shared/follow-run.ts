import { EspalierError } from "../../errors.ts";
import type { Client } from "./client.ts";

/** What any run may end with. */
type End =
  | { readonly __typename: "RunFailed"; readonly error: { readonly code: string; readonly message: string } }
  | { readonly __typename: "RunCancelled" };

interface Typed {
  readonly __typename: string;
}

/**
 * A run's events, until it is over.
 *
 * @param wanted fragments of the events that the caller looks at
 * @throws EspalierError with the reason that the run failed for; CANCELLED
 */
export async function* followRun<Event extends Typed>(client: Client, id: string, wanted: string): AsyncGenerator<Event> {
  const progress = `subscription FollowRun($id: ID!) {
    runProgress(runId: $id) { __typename ${wanted} ... on RunFailed { error { code message } } } }`;
  const isEnd = (event: Event | End): event is End => event.__typename === "RunFailed" || event.__typename === "RunCancelled";
  for await (const { runProgress: event } of client.subscribe<{ runProgress: Event | End }>(progress, { id })) {
    if (!isEnd(event)) yield event;
    else if (event.__typename === "RunFailed") throw new EspalierError(event.error.code, event.error.message);
    else throw new EspalierError("CANCELLED", "the run was cancelled");
  }
}
