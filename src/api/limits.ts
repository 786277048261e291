import { type FragmentDefinitionNode, GraphQLError, Kind, type SelectionSetNode, type ValidationRule } from "graphql";
import { EspalierError } from "../errors.ts";

/** What one request may ask for. */
export const limits = {
  /** Of a request over HTTP, or a message over WebSocket. */
  bytes: 4 * 1024 * 1024,
  /** Of a document: what is longer belongs into variables. */
  characters: 150_000,
  /** Of a document. */
  tokens: 2000,
  /** Fields within fields; the usual introspection query needs 15. */
  depth: 16,
  aliases: 30,
  /** Fields once fragments are spread: fragments of fragments can make a short document huge. */
  fields: 2000,
  /** Fields of the answer, at its largest. */
  complexity: 20_000,
  /** Numbers, texts, lists and so on in the JSON of a request. */
  values: 200_000,
  /** Told of one request, however much is wrong with it. */
  errors: 5,
  subscriptionsPerSocket: 20,
  /** Of what a client calls an operation of a socket, and of what it says of itself when it opens one; characters. */
  idLength: 200,
  connectionParameters: 16_000,
  /** A socket with more that its client has not taken is not read on. */
  unreadBytes: 2 ** 20,
  /** Within which a request's headers, and a body that trickles, must have come. */
  headersMs: 10_000,
  requestMs: 60_000,
  /** Of requests that are under way when the server stops. */
  graceMs: 5000,
  /** A subscriber that takes nothing for so long is cut off. */
  stalledMs: 10_000,
  /** A stream of events says so often that it goes on: proxies close one on which nothing happens. */
  keepAliveMs: 12_000,
} as const;

export const exceeded = (limit: keyof typeof limits, actual: number): GraphQLError => {
  const maximum = limits[limit];
  const message = `the request has ${limit} ${actual}; the limit is ${maximum}`;
  return new GraphQLError(message, { originalError: new EspalierError("REQUEST_TOO_LARGE", message, { limit, maximum, actual }) });
};

interface Extent {
  readonly depth: number;
  readonly aliases: number;
  readonly fields: number;
}

/** Measures selections with each fragment counted wherever it is spread, but walked once. A cycle is another rule's to refuse. */
function measure(set: SelectionSetNode, fragments: ReadonlyMap<string, FragmentDefinitionNode>, known: Map<string, Extent>): Extent {
  let [depth, aliases, fields] = [0, 0, 0];
  for (const node of set.selections) {
    let inner: Extent = { depth: 0, aliases: 0, fields: 0 };
    if (node.kind === Kind.FRAGMENT_SPREAD) {
      const name = node.name.value;
      const fragment = fragments.get(name);
      if (fragment && !known.has(name)) {
        known.set(name, inner);
        known.set(name, measure(fragment.selectionSet, fragments, known));
      }
      inner = known.get(name) ?? inner;
    } else if (node.selectionSet) inner = measure(node.selectionSet, fragments, known);
    const own = node.kind === Kind.FIELD ? 1 : 0;
    depth = Math.max(depth, own + inner.depth);
    aliases += inner.aliases + (node.kind === Kind.FIELD && node.alias ? 1 : 0);
    fields += own + inner.fields;
  }
  return { depth, aliases, fields };
}

/** Validation rule: depth, aliases and fields of each operation. */
export const boundedOperations: ValidationRule = (context) => {
  const { definitions } = context.getDocument();
  const fragments = new Map(definitions.flatMap((d) => (d.kind === Kind.FRAGMENT_DEFINITION ? [[d.name.value, d] as const] : [])));
  const known = new Map<string, Extent>();
  return {
    OperationDefinition({ selectionSet }) {
      const extent = measure(selectionSet, fragments, known);
      for (const limit of ["depth", "aliases", "fields"] as const)
        if (extent[limit] > limits[limit]) context.reportError(exceeded(limit, extent[limit]));
    },
  };
};
