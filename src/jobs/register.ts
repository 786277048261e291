import { type ModelRecord, registerRootModel } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { computeOnce } from "./compute-process.ts";

export interface RegisterServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly modelRoot: string;
}

export interface RegisterRequest {
  /** A folder or a `.onnx` file, relative to the model root. */
  readonly path: string;
  readonly name: string;
}

/**
 * Registers a model: validates it, copies its files into the artifact store, stores its rows. The same bytes registered
 * twice are one model, under its first name.
 *
 * @throws EspalierError what the `inspect` task throws about the model; nothing is stored then
 */
export async function registerModel(
  { store, dataDirectory, modelRoot }: RegisterServices,
  { path, name }: RegisterRequest,
): Promise<ModelRecord> {
  return registerRootModel(store, await computeOnce("inspect", { dataDirectory, modelRoot, path }), name);
}
