import { performance } from "node:perf_hooks";
import type { GraphQLFieldResolver, GraphQLSchema } from "graphql";
import type { Logger } from "pino";
import { beginAudit, endAudit } from "../store/audit.ts";
import { tokensIn } from "../store/tokens.ts";
import type { Context } from "./context.ts";
import { codeOf } from "./present-error.ts";

/** Of a text, of a list, and of all arguments together. */
const longest = { text: 200, list: 10, all: 4000 } as const;

/** Names of arguments whose values are nobody's business: `password`, `accessToken`, but not `maxTokens`. */
const secretName = /secret|password|credential|authorization|token$/i;

const cut = (text: string, length: number, whole: number = text.length): string =>
  whole <= length ? text : `${text.slice(0, length)}… (${whole} characters)`;

/** Searched past what is kept: a token may lie across its end. */
const withoutTokens = (text: string): string =>
  cut(text.slice(0, 2 * longest.text).replaceAll(tokensIn, "esp_…"), longest.text, text.length);

function told(name: string, value: unknown): unknown {
  if (secretName.test(name) && value != null) return "(secret)";
  if (typeof value === "string") return withoutTokens(value);
  if (Array.isArray(value)) {
    const items = value.slice(0, longest.list).map((item) => told("", item));
    return value.length > longest.list ? [...items, `… (${value.length} items)`] : items;
  }
  if (value === null || typeof value !== "object" || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, told(key, inner)]));
}

/** What is kept of a mutation's arguments: as JSON, without secrets, of bounded length. */
export const toldArguments = (args: object): string => cut(JSON.stringify(told("", args)), longest.all);

/** What a mutation made, changed or deleted, as its payload says. */
function idsIn(payload: unknown): string[] {
  const { deletedId, ...records } = (payload ?? {}) as Readonly<Record<string, unknown>>;
  const ids = Object.values(records).map((record) => (record as { readonly id?: unknown } | null)?.id);
  return [deletedId, ...ids].flatMap((id) => (typeof id === "string" ? [cut(id, longest.text)] : []));
}

/**
 * Keeps a trail of the mutations of a schema, whatever they come over: who asked, when, for what, and what came of it. An entry is
 * written before its mutation begins, refused ones too, so that none is without; one that the server died of has no outcome.
 */
export function keepTrail(schema: GraphQLSchema, log: Logger): void {
  for (const [mutation, field] of Object.entries(schema.getMutationType()?.getFields() ?? {})) {
    const resolve = field.resolve as GraphQLFieldResolver<unknown, Context>;
    field.resolve = async (root, args, context, info) => {
      const { store, caller, address } = context;
      const who = { tokenId: caller.token?.id ?? null, tokenName: caller.token?.name ?? null, address };
      const asked = { ...who, mutation, arguments: toldArguments(args) };
      const begun = performance.now();
      const id = await beginAudit(store.prisma, asked);
      const end = async (outcome: string, resultIds: string[]) => {
        const entry = { outcome, resultIds, durationMs: performance.now() - begun };
        log.info({ audit: { id, ...asked, ...entry } }, "mutation");
        // What was done is done: the client is told of it, and the log has what the database lacks.
        await endAudit(store.prisma, id, entry).catch((error) => log.error({ err: error, audit: id }, "the audit trail has no outcome"));
      };
      try {
        const result = await resolve(root, args, context, info);
        await end("OK", idsIn(result));
        return result;
      } catch (error) {
        await end(codeOf(error), []);
        throw error;
      }
    };
  }
}
