import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { requireFiles } from "../artifacts/model-files.ts";
import { computeOnce } from "../compute/compute-once.ts";
import { dropUpload, importSource, type OriginServices } from "../jobs/import-source.ts";
import { blaming, keyRule, requireAll } from "../rules/validate.ts";
import { getModel, type ModelRecord, registerRootModel } from "../store/models.ts";
import { earlierResult } from "../store/request-keys.ts";
import type { ImportOrigin } from "../store/runs.ts";
import { originRules, readyOrigin } from "./import-origin.ts";
import type { Client } from "./uploads.ts";

/** What to register: plain data. Errors call it `input`. */
export interface RegisterRequest {
  readonly from: ImportOrigin;
  /** The argument that said so: `input.source`, unless it was the older `input.path`. */
  readonly given?: "input.source" | "input";
  /** Null: after where it comes from. */
  readonly name: string | null;
  /** A request with the key of an earlier one gives what that one gave, whatever has become of the files. */
  readonly idempotencyKey?: string | null;
}

/** Of a model's graph and weights. More takes longer than a client should wait for one answer: a run tells how it goes. */
export const largestAtOnce = 2 ** 30;

const fields: Readonly<Record<ImportOrigin["kind"], string>> = { PATH: "path", UPLOAD: "uploadId", HUB: "hub" };

/**
 * Registers a model at once, as a run of `startImport` does: gathers its files, validates it, copies them into the artifact store, stores its
 * rows. The same bytes registered twice are one model, under its first name. An upload goes once it is a model.
 *
 * @throws EspalierError BAD_USER_INPUT, UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE; MODEL_TOO_LARGE; what the `import` task throws about the model;
 *   OVERLOADED; IDEMPOTENCY_KEY_REUSED; the signal's reason. Nothing is stored then, and an upload stays
 */
export async function registerModel(
  services: OriginServices,
  { from: asked, given = "input.source", name: wished, idempotencyKey: key = null }: RegisterRequest,
  client: Client,
  signal: AbortSignal = new AbortController().signal,
): Promise<ModelRecord> {
  const { store, dataDirectory } = services;
  requireAll([...originRules(asked, given), keyRule(key)]);
  const owner = client.token?.id ?? null;
  const keyed = key === null ? undefined : { operation: "registerModel", owner, key, request: { from: asked, name: wished } };
  const earlier = keyed && (await earlierResult(store.prisma, keyed));
  if (earlier) return getModel(store.prisma, earlier);
  const { from, name } = await readyOrigin(services, asked, wished, client);
  const scratch = join(dataDirectory, "exports", randomUUID());
  try {
    const source = await importSource(services, from, join(scratch, "fetched"));
    const imported = computeOnce("import", { dataDirectory, source, scratch, mostBytes: largestAtOnce }, signal);
    const model = await blaming(`${given}.${fields[from.kind]}`, imported);
    const registered = await registerRootModel(store, model, name, {
      keyed,
      confirmFiles: (files) => requireFiles(dataDirectory, files),
    });
    if (from.kind === "UPLOAD") await dropUpload(services, from.uploadId);
    return registered;
  } finally {
    // A process that was killed leaves it behind.
    await rm(scratch, { recursive: true, force: true });
  }
}
