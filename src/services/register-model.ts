import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { requireFiles } from "../artifacts/model-files.ts";
import { computeOnce } from "../compute/compute-once.ts";
import { getModel, type ModelRecord, registerRootModel } from "../store/models.ts";
import { earlierResult } from "../store/request-keys.ts";
import type { Store } from "../store/store.ts";

export interface RegisterServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly modelRoot: string;
}

export interface RegisterRequest {
  /** A folder, or a `.onnx` or `.gguf` file, relative to the model root. */
  readonly path: string;
  readonly name: string;
  /** A request with the key of an earlier one gives what that one gave, whatever has become of the files. */
  readonly idempotencyKey?: string | undefined;
  /** The token of the client; null where it has none. */
  readonly owner?: string | null;
}

/**
 * Registers a model: validates it, copies its files into the artifact store, stores its rows. The same bytes registered
 * twice are one model, under its first name.
 *
 * @throws EspalierError what the `inspect` task throws about the model; OVERLOADED; IDEMPOTENCY_KEY_REUSED; the signal's reason; nothing is
 *   stored then
 */
export async function registerModel(
  { store, dataDirectory, modelRoot }: RegisterServices,
  { path, name, idempotencyKey: key, owner = null }: RegisterRequest,
  signal: AbortSignal = new AbortController().signal,
): Promise<ModelRecord> {
  const keyed = key === undefined ? undefined : { operation: "registerModel", owner, key, request: { path, name } };
  const earlier = keyed && (await earlierResult(store.prisma, keyed));
  if (earlier) return getModel(store.prisma, earlier);
  const scratch = join(dataDirectory, "exports", randomUUID());
  try {
    const inspected = await computeOnce("inspect", { dataDirectory, modelRoot, path, scratch }, signal);
    return await registerRootModel(store, inspected, name, { keyed, confirmFiles: (files) => requireFiles(dataDirectory, files) });
  } finally {
    // A process that was killed leaves it behind.
    await rm(scratch, { recursive: true, force: true });
  }
}
