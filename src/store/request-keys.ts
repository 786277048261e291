import { createHash } from "node:crypto";
import { EspalierError } from "../errors.ts";
import type { Database } from "./store.ts";

/** A client's key for a request that makes something. */
export interface KeyedRequest {
  readonly operation: string;
  /** The token of the client, whose keys are its own; null where clients have none. */
  readonly owner: string | null;
  readonly key: string;
  /** All that was asked for: plain data. */
  readonly request: unknown;
}

/** sha256 of plain data, whatever the order of its fields. */
function requestDigest(request: unknown): string {
  const sorted = (_: string, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value;
  return createHash("sha256").update(JSON.stringify(request, sorted)).digest("hex");
}

const ownOperation = ({ operation, owner }: Pick<KeyedRequest, "operation" | "owner">): string =>
  owner === null ? operation : `${operation} ${owner}`;

/**
 * The id of what an earlier request with the same key made; null if there was none.
 *
 * @throws EspalierError IDEMPOTENCY_KEY_REUSED if that request asked for something else
 */
export async function earlierResult(db: Database, { key, request, ...asked }: KeyedRequest): Promise<string | null> {
  const operation = ownOperation(asked);
  const row = await db.requestKey.findUnique({ where: { operation_key: { operation, key } } });
  if (row && row.digest !== requestDigest(request))
    throw new EspalierError("IDEMPOTENCY_KEY_REUSED", `the key "${key}" belongs to an earlier request that asked for something else`, {
      argument: "input.idempotencyKey",
      key,
    });
  return row?.resultId ?? null;
}

/**
 * Makes something once for a client's key, or, without a key, makes it. To be called in a transaction; requests with the
 * same key wait for one another.
 *
 * @returns the id of what was made, now or earlier
 * @throws EspalierError IDEMPOTENCY_KEY_REUSED; what `make` throws
 */
export async function makeOnce(tx: Database, keyed: KeyedRequest | undefined, make: () => Promise<string>): Promise<string> {
  if (!keyed) return make();
  const { key, request } = keyed;
  const operation = ownOperation(keyed);
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${operation} ${key}`}, 1))`;
  const earlier = await earlierResult(tx, keyed);
  if (earlier !== null) return earlier;
  const resultId = await make();
  await tx.requestKey.create({ data: { operation, key, digest: requestDigest(request), resultId } });
  return resultId;
}
