import { keyRule, requireAll } from "../rules/validate.ts";
import { createImportRun, type ImportRunRecord } from "../store/imports.ts";
import { earlierResult } from "../store/request-keys.ts";
import { getRun, type ImportOrigin } from "../store/runs.ts";
import { originRules, readyOrigin } from "./import-origin.ts";
import type { StartServices } from "./start-pruning.ts";
import type { Client } from "./uploads.ts";

/** What to make a model of: plain data. Errors call it `input`. */
export interface StartImportRequest {
  readonly from: ImportOrigin;
  /** Null: after what it is made of. */
  readonly name: string | null;
  /** A request with the key of an earlier one gives what that one gave, whatever has become of the files. */
  readonly idempotencyKey: string | null;
}

/**
 * Starts the making of a model of files that are on the server, that a client has sent, or that a Hub has: it waits for a worker.
 *
 * @throws EspalierError BAD_USER_INPUT, UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE, with the argument at fault; IDEMPOTENCY_KEY_REUSED. Nothing is
 *   stored then
 */
export async function startImport(services: StartServices, request: StartImportRequest, client: Client): Promise<ImportRunRecord> {
  const { store, queue } = services;
  const { from, idempotencyKey: key } = request;
  requireAll([...originRules(from), keyRule(key)]);
  const keyed =
    key === null ? undefined : { operation: "startImport", owner: client.token?.id ?? null, key, request: { from, name: request.name } };
  const earlier = keyed && (await earlierResult(store.prisma, keyed));
  if (earlier) return getRun(store.prisma, earlier, "IMPORT");
  const ready = await readyOrigin(services, from, request.name, client);
  const options = { from: ready.from, name: ready.name, executionProvider: "AUTO" as const };
  return createImportRun(store, options, queue.addRun, keyed);
}
