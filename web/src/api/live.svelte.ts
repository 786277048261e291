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
        deletedIds
      }
    }
  `,
  [runFields],
);
export type Changes = ResultOf<typeof changesDocument>["changes"];

type Listener = (changes: Changes) => void;
const listeners = new Set<Listener>();
let cursor: string | null = null;
let end: (() => void) | null = null;

function begin(): void {
  end ??= subscribe(changesDocument, () => ({ after: cursor }), {
    next: ({ changes }) => {
      cursor = changes.cursor;
      for (const listener of listeners) listener(changes);
    },
    // A cursor of a database that was restored, say: everybody reads anew, and it begins at what is now.
    failed: () => {
      cursor = null;
      end = null;
      for (const listener of listeners) listener(everything);
      setTimeout(() => listeners.size > 0 && begin(), 2000);
    },
  });
}

/** Stands for whatever may have changed while nobody could tell. */
export const everything: Changes = { cursor: "", runs: [], models: [], datasets: [], deletedIds: ["*"] };

session.onLeave(() => {
  end?.();
  end = null;
  cursor = null;
});

/**
 * Tells of changes in the lists, from now until it is ended. One subscription serves the whole page, and goes on from its cursor after a
 * lost connection.
 *
 * @returns ends it
 */
export function onChanges(listener: Listener): () => void {
  listeners.add(listener);
  begin();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    end?.();
    end = null;
    cursor = null;
  };
}
