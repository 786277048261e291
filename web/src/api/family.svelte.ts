import { ask } from "./ask.ts";
import { graphql, type ResultOf } from "./graphql.ts";
import { onChanges } from "./live.svelte.ts";

const memberFields = graphql(`
  fragment MemberFields on FamilyMember {
    id: modelId
    name
    parentId
    parameterCount
    sizeBytes
    createdAt
    tags
    producedBy { id: runId kind method removedRatio scheme }
    measures { evaluationId comparisonKey datasetName perplexity nextTokenAccuracy accuracy exactMatch decodeTokensPerSecond }
  }
`);
export type Member = ResultOf<typeof memberFields>;

const pageDocument = graphql(
  `
    query FamilyPage($first: Int!, $after: String) {
      familyMembers(first: $first, after: $after) {
        nodes { ...MemberFields }
        pageInfo { hasNextPage endCursor }
      }
    }
  `,
  [memberFields],
);
const membersDocument = graphql(
  `
    query Members($ids: [ID!]!) {
      familyMembers(first: 500, ids: $ids) { nodes { ...MemberFields } }
    }
  `,
  [memberFields],
);

/** The first page is small, so that something is seen at once; the others are as large as the server gives them. */
const [firstPage, pageSize] = [100, 500];

/** While pages come in, what is shown is renewed this often; the first at once. Of thousands more seldom: each time all are laid out. */
const renewMs = (many: number) => (many < 2000 ? 250 : 1000);

/** All models of the server, oldest first, as they are now. */
export class Members {
  all = $state.raw<readonly Member[]>([]);
  isComplete = $state(false);
  failure = $state.raw<unknown>(null);
}

/** Reads all models, page after page, and follows their changes. To be called while a component is set up. */
export function members(): Members {
  const result = new Members();
  const known = new Map<string, Member>();
  const wanted = new Set<string>();
  /** What changed since all were read: a page may be of before. */
  const changed = new Set<string>();
  let shownAt = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;

  const show = () => {
    timer = null;
    shownAt = Date.now();
    result.all = [...known.values()];
  };
  const showSoon = () => {
    timer ??= setTimeout(show, Math.max(0, shownAt + renewMs(known.size) - Date.now()));
  };

  async function readAll(signal: AbortSignal): Promise<void> {
    Object.assign(result, { isComplete: false, failure: null });
    changed.clear();
    try {
      const seen = new Set<string>();
      for (let after: string | null = null, isMore = true; isMore; ) {
        const first: number = after === null ? firstPage : pageSize;
        const { familyMembers }: ResultOf<typeof pageDocument> = await ask(pageDocument, { first, after }, signal);
        for (const member of familyMembers.nodes) {
          if (!changed.has(member.id)) known.set(member.id, member);
          seen.add(member.id);
        }
        isMore = familyMembers.pageInfo.hasNextPage;
        after = familyMembers.pageInfo.endCursor;
        if (shownAt === 0) show();
        else showSoon();
      }
      for (const id of known.keys()) if (!seen.has(id) && !changed.has(id)) known.delete(id);
      if (timer) clearTimeout(timer);
      show();
      result.isComplete = true;
    } catch (failure) {
      if (!signal.aborted) result.failure = failure;
    }
  }

  async function readWanted(signal: AbortSignal): Promise<void> {
    const ids = [...wanted].slice(0, pageSize);
    for (const id of ids) wanted.delete(id);
    try {
      const { familyMembers } = await ask(membersDocument, { ids }, signal);
      const found = new Map(familyMembers.nodes.map((member) => [member.id, member]));
      for (const id of ids) {
        const member = found.get(id);
        if (member) known.set(id, member);
        else known.delete(id);
      }
      showSoon();
    } catch (failure) {
      if (!signal.aborted) result.failure = failure;
    }
  }

  $effect(() => {
    const over = new AbortController();
    let reading: ReturnType<typeof setTimeout> | null = null;
    const soon = () => {
      reading ??= setTimeout(() => {
        reading = null;
        void readWanted(over.signal).then(() => wanted.size > 0 && soon());
      }, 300);
    };
    void readAll(over.signal);
    const end = onChanges(({ models, runs, deletedIds }) => {
      if (deletedIds[0] === "*") return void readAll(over.signal);
      for (const id of deletedIds) {
        changed.add(id);
        if (known.delete(id)) showSoon();
      }
      for (const { id } of models) wanted.add(id);
      // What was measured of a model changes it too.
      for (const { status, kind, model } of runs) if (status === "SUCCEEDED" && kind === "EVALUATION" && model) wanted.add(model.id);
      for (const id of wanted) changed.add(id);
      if (wanted.size > 0) soon();
    });
    return () => {
      over.abort();
      end();
      for (const each of [timer, reading]) if (each) clearTimeout(each);
    };
  });
  return result;
}
