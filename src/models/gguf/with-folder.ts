import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "../../finished.ts";
import { findModel, type ModelFolder } from "../model-folder.ts";
import { folderOfGguf } from "./folder-of-gguf.ts";

/**
 * A model as a folder with weights: as it is, or made of its GGUF file in a folder that is there for the time of the work.
 *
 * @param scratch a path where there is nothing yet
 * @param work is given the folder, and what users should know of how it was made
 * @throws EspalierError INVALID_GGUF, UNSUPPORTED_GGUF, UNSUPPORTED_TOKENIZER, WEIGHTS_MISMATCH (folder-of-gguf.ts)
 */
export async function* withFolder<Event, Result>(
  place: ModelFolder,
  scratch: string,
  work: (place: ModelFolder, notes: readonly string[]) => AsyncGenerator<Event, Result>,
): AsyncGenerator<Event, Result> {
  const { folder, gguf, companions } = place;
  if (gguf === undefined) return yield* work(place, []);
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  try {
    const notes = await finished(folderOfGguf({ path: join(folder, gguf), file: gguf }, scratch));
    for (const name of companions) await copyFile(join(folder, name), join(scratch, name));
    return yield* work(await findModel(scratch, "."), notes);
  } finally {
    await rm(scratch, { recursive: true });
  }
}
