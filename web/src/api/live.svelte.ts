import { graphql, type ResultOf } from "./graphql.ts";
import { session } from "./session.svelte.ts";
import { subscribe } from "./socket.svelte.ts";

export const runFields = graphql(`
  fragment RunFields on Run {
    __typename
    id
    kind
    status
    progress
    queuePosition
    priority
    createdAt
    startedAt
    finishedAt
    executionProvider
    lastSequence
    error { code message }
    model { id name }
    resultModel { id name }
    resultOf { id kind }
    dataset { id name }
    ... on PruningRun { pruningMethod: method removedRatio }
    ... on RecoveryRun { recoveryMethod: method }
    ... on CompressionRun { compressionMethod: method scheme }
    ... on ExportRun { format }
    ... on ImportRun { source }
  }
`);
export type RunRow = ResultOf<typeof runFields>;

const changesDocument = graphql(
  `
    subscription Changes($after: String) {
      changes(after: $after) {
        cursor
        runs { ...RunFields }
        models { id name parent { id } }
        datasets { id name }
        workers { id }
        deletedIds
      }
    }
  `,
  [runFields],
);
export type Changes = ResultOf<typeof changesDocument>["changes"];

type Listener = (changes: Changes) => void;
const listeners = new Set<Listener>();
let end: (() => void) | null = null;

/** Stands for whatever may have changed while nobody could tell. */
export const everything: Changes = { cursor: "", runs: [], models: [], datasets: [], workers: [], deletedIds: ["*"] };

/**
 * Follows the lists from a cursor on, for the whole page and until its user leaves. The cursor was told before anything was read, so that
 * nothing falls between.
 */
export function follow(from: string | null): void {
  let cursor = from;
  end?.();
  end = subscribe(changesDocument, () => ({ after: cursor }), {
    next: ({ changes }) => {
      const isLost = cursor === null;
      cursor = changes.cursor;
      for (const listener of listeners) listener(isLost ? everything : changes);
    },
    // A cursor of a database that was restored, say: it begins at what is now, and everybody reads anew.
    failed: () => setTimeout(() => end && follow(null), 2000),
  });
}

session.onLeave(() => {
  end?.();
  end = null;
});

/**
 * Tells of changes in the lists. A record that is read at the same time may come as it was before: changes that came meanwhile count.
 *
 * @returns ends it
 */
export function onChanges(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
