import type { Gather } from "../import-model.ts";

/** A folder or file that lies under the server's model root. */
export interface FromPath {
  readonly kind: "PATH";
  readonly modelRoot: string;
  readonly path: string;
}

// biome-ignore lint/correctness/useYield: it is there
export const fromPath: Gather<FromPath> = async function* ({ modelRoot, path }) {
  return { modelRoot, path, files: "THEIRS", notes: [], proven: Promise.resolve() };
};
