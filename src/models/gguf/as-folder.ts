import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { findModel, type ModelFolder } from "../model-folder.ts";
import { folderOfGguf } from "./folder-of-gguf.ts";

/** A folder with a graph or weights, and what users should know of how it was made. */
export interface ReadableFolder {
  readonly place: ModelFolder;
  readonly notes: readonly string[];
}

/**
 * A model as a folder with a graph or weights: as it is, or made of its GGUF file or the parts of one.
 *
 * @param scratch a path where there is nothing yet: what is made lies there, for the caller to clear away
 * @yields how many bytes of weights are written, of how many
 * @throws EspalierError INVALID_GGUF, UNSUPPORTED_GGUF, UNSUPPORTED_TOKENIZER, WEIGHTS_MISMATCH (folder-of-gguf.ts)
 */
export async function* asFolder(
  place: ModelFolder,
  scratch: string,
): AsyncGenerator<{ readonly done: number; readonly total: number }, ReadableFolder> {
  const { folder, gguf, companions } = place;
  if (gguf === undefined) return { place, notes: [] };
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const notes = yield* folderOfGguf(
    gguf.map((file) => ({ path: join(folder, file), file })),
    scratch,
  );
  for (const name of companions) await copyFile(join(folder, name), join(scratch, name));
  return { place: await findModel(scratch, "."), notes };
}
