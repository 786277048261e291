import { registerModel } from "../../src/services/register-model.ts";
import type { ModelRecord } from "../../src/store/models.ts";
import type { Store } from "../../src/store/store.ts";

/** Registers a folder under the model root as an open server does. */
export const registerFolder = (
  { store, dataDirectory, modelRoot }: { readonly store: Store; readonly dataDirectory: string; readonly modelRoot: string },
  path: string,
  name = path,
): Promise<ModelRecord> =>
  registerModel(
    { store, dataDirectory, modelRoot, hub: { address: null, token: null } },
    { from: { kind: "PATH", path }, name },
    { token: null, role: "ADMIN" },
  );
